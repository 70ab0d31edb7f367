"""The tables of a report as plain data: results, slices and settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imgloc.evaluation import scoring
from imgloc.evaluation.statistics import Interval
from imgloc.interfaces import Metric
from imgloc.reporting.load import RunReport, metric_of


@dataclass(frozen=True)
class Cell:
    """An interval as text, and its position on a track from 0 to 1 in per cent; `left` is None if it is outside."""

    mean: str
    range: str
    left: float | None
    width: float
    dot: float


@dataclass(frozen=True)
class Column:
    """One predictor in the table of results; `line` is the index of its run, None for a baseline."""

    name: str
    note: str
    line: int | None
    intervals: Mapping[str, Interval]
    n: int


@dataclass(frozen=True)
class SliceRow:
    """The results of one run on one part of a slicing."""

    name: str
    note: str
    run: str
    first: bool
    n: int
    cells: list[Cell | None]


@dataclass(frozen=True)
class SliceTable:
    """The results of all runs on every part of a slicing."""

    key: str
    title: str
    meaning: str
    rows: list[SliceRow]


@dataclass(frozen=True)
class Setting:
    """A dotted key and its value in each run."""

    key: str
    values: list[str]
    differs: bool


def cell(metric: Metric, interval: Interval | None) -> Cell | None:
    """The cell of an interval; None if there is no interval."""
    if interval is None:
        return None
    low, high = interval.low, interval.high
    return Cell(
        mean=metric.text(interval.mean),
        range=f"[{metric.text(low)}, {metric.text(high)}]",
        left=round(100 * low, 2) if metric.unit in ("share", "IoU") and low >= 0 and high <= 1 else None,
        width=round(100 * (high - low), 2),
        dot=round(100 * interval.mean, 2),
    )


def baselines(reports: Sequence[RunReport]) -> list[tuple[str, int, str]]:
    """(title, index of a run, name) of each baseline; a baseline with the same results in all runs occurs once."""
    entries = []
    for name in dict.fromkeys(name for report in reports for name in report.baselines):
        with_it = [(index, report) for index, report in enumerate(reports) if name in report.baselines]
        first = with_it[0][1]
        title = first.baselines[name].title
        if all(report.scored[name].intervals == first.scored[name].intervals for _, report in with_it):
            entries.append((title, with_it[0][0], name))
        else:
            entries += [(f"{title} ({report.label})", index, name) for index, report in with_it]
    return entries


def result_columns(reports: Sequence[RunReport]) -> list[Column]:
    """The columns of all runs, then of all baselines."""
    columns = []
    for index, report in enumerate(reports):
        meta = report.model.meta
        note = f"{meta.get('checkpoint', 'model')} checkpoint, step {meta['step']}" if meta.get("step") is not None else ""
        columns.append(Column(report.label, note, index, report.model.intervals, len(report.model.rows)))
    for title, index, name in baselines(reports):
        scored = reports[index].scored[name]
        columns.append(Column(title, reports[index].baselines[name].meaning, None, scored.intervals, len(scored.rows)))
    return columns


def result_rows(reports: Sequence[RunReport], columns: Sequence[Column]) -> list[tuple[Metric, list[Cell | None]]]:
    """(metric, its cell in each column) for every metric of any column."""
    keys = scoring.in_order((key for column in columns for key in column.intervals), reports[0].task)
    metrics = [metric_of(reports, key) for key in keys]
    return [(metric, [cell(metric, column.intervals.get(metric.key)) for column in columns]) for metric in metrics]


def headline_metrics(reports: Sequence[RunReport]) -> list[Metric]:
    """The headline metrics of the tasks that some run has."""
    keys = dict.fromkeys(key for report in reports for key in report.task.headline_metrics if key in report.model.intervals)
    return [metric_of(reports, key) for key in keys]


def best_runs(reports: Sequence[RunReport], metrics: Sequence[Metric]) -> dict[str, set[str]]:
    """The labels of the runs with the best mean, by the key of each metric; a metric that only one run has is left out."""
    best = {}
    for metric in metrics:
        means = {report.label: report.model.intervals[metric.key].mean for report in reports if metric.key in report.model.intervals}
        if len(means) > 1:
            top = max(metric.sign * mean for mean in means.values())
            best[metric.key] = {label for label, mean in means.items() if metric.sign * mean == top}
    return best


def slice_tables(reports: Sequence[RunReport]) -> list[SliceTable]:
    """The tables of the slicings of the tasks; slicings without any part are left out."""
    slicings = {slicing.key: slicing for report in reports for slicing in scoring.slicings(report.task)}
    tables = []
    for slicing in slicings.values():
        prefix = f"/{slicing.key}/"
        parts = {key.split(prefix, 1)[1]: None for report in reports for key in report.model.intervals if prefix in key}
        rows = _slice_rows(reports, slicing.key, {part: slicing.notes.get(part, "") for part in _in_order(reports, slicing.notes, parts)})
        if rows:
            tables.append(SliceTable(slicing.key, slicing.title, slicing.meaning, rows))
    return tables


def _in_order(reports: Sequence[RunReport], notes: Mapping[str, str], parts: Mapping[str, None]) -> list[str]:
    """Parts in the order of the slicing's notes, then of the classes, then as they occur."""
    order = [*notes, *(name for report in reports for name in report.classes)]
    return sorted(parts, key=lambda part: order.index(part) if part in order else len(order))


def _slice_rows(reports: Sequence[RunReport], kind: str, notes: Mapping[str, str]) -> list[SliceRow]:
    metrics, rows = headline_metrics(reports), []
    for name, note in notes.items():
        first = True
        for report in reports:
            intervals = {metric: report.model.intervals.get(f"{metric.key}/{kind}/{name}") for metric in metrics}
            sizes = [interval.n for interval in intervals.values() if interval is not None]
            if sizes:
                cells = [cell(metric, interval) for metric, interval in intervals.items()]
                rows.append(SliceRow(name, note, report.label, first, max(sizes), cells))
                first = False
    return rows


def settings(objects: Sequence[Mapping[str, object]]) -> list[Setting]:
    """The dotted keys of nested JSON objects with all their values; keys whose values differ come first."""
    flat = [_flatten(item) for item in objects]
    keys = list(dict.fromkeys(key for item in flat for key in item))
    rows = []
    for key in keys:
        values = [item.get(key, "\u2014") for item in flat]
        rows.append(Setting(key, values, len(set(values)) > 1))
    return sorted(rows, key=lambda setting: not setting.differs)


def _flatten(value: object, prefix: str = "") -> dict[str, str]:
    children: list[tuple[str, object]] = []
    if isinstance(value, Mapping) and value:
        children = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
        children = [(str(i), item) for i, item in enumerate(value)]
    if not children:
        return {prefix: _text(value)}
    flat: dict[str, str] = {}
    for key, item in children:
        flat |= _flatten(item, f"{prefix}.{key}" if prefix else key)
    return flat


def _text(value: object) -> str:
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return json.dumps(value, ensure_ascii=False)
