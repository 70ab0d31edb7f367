"""The tables of a report as plain data: results, slices, and settings that runs have in common or not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgloc.boxes import SIZES
from imgloc.report import terms
from imgloc.report.load import RunReport
from imgloc.report.terms import Cell
from imgloc.runs.prediction_table import PREDICTORS

SLICE_METRICS = ("top1", "mean_iou", "gt_known_50", "top1_loc_50")


@dataclass(frozen=True)
class Column:
    """One predictor of the result table; `line` is its colour in the figures."""

    name: str
    note: str
    line: int | None  # the index of its run; None for a baseline
    intervals: Mapping[str, Any]
    n: int


@dataclass(frozen=True)
class SliceRow:
    """One run on one class or size."""

    name: str
    note: str
    run: str
    first: bool
    n: int
    cells: list[Cell | None]


@dataclass(frozen=True)
class Setting:
    """A dotted key and its value in every run."""

    key: str
    values: list[str]
    differs: bool


def baselines(reports: Sequence[RunReport]) -> list[tuple[str, int, str]]:
    """(name shown, index of a run, predictor): each baseline once where all runs have the same numbers of it."""
    found = []
    for predictor in PREDICTORS[1:]:
        name = terms.BASELINES[predictor][0]
        same = all(report.scored[predictor].intervals == reports[0].scored[predictor].intervals for report in reports)
        if same:
            found.append((name, 0, predictor))
        else:
            found += [(f"{name} ({report.label})", index, predictor) for index, report in enumerate(reports)]
    if not any(report.has_boxes for report in reports):  # without boxes the two differ in nothing
        kept = [entry for entry in found if entry[2] == "whole_image"]
        found = [(name.replace(terms.BASELINES["whole_image"][0], terms.COMMONEST[0]), i, predictor) for name, i, predictor in kept]
    return found


def result_columns(reports: Sequence[RunReport]) -> list[Column]:
    """Every run, then every baseline."""
    columns = []
    for index, report in enumerate(reports):
        meta = report.model.meta
        note = f"{meta.get('checkpoint', 'model')} checkpoint, step {meta['step']}" if meta.get("step") is not None else ""
        columns.append(Column(report.label, note, index, report.model.intervals, len(report.model.rows)))
    for name, index, predictor in baselines(reports):
        note = terms.BASELINES[predictor][1] if reports[index].has_boxes else terms.COMMONEST[1]
        scored = reports[index].scored[predictor]
        columns.append(Column(name, note, None, scored.intervals, len(scored.rows)))
    return columns


def result_rows(columns: Sequence[Column]) -> list[tuple[str, list[Cell | None]]]:
    """(metric, its cell in each column) for every metric that any column has."""
    metrics = terms.in_order({metric for column in columns for metric in column.intervals})
    return [(metric, [terms.cell(metric, column.intervals.get(metric)) for column in columns]) for metric in metrics]


def slice_metrics(reports: Sequence[RunReport]) -> list[str]:
    """The metrics that slices are shown by."""
    return [metric for metric in SLICE_METRICS if any(metric in report.model.intervals for report in reports)]


def class_rows(reports: Sequence[RunReport]) -> list[SliceRow]:
    """Every class that occurs in a run, in the order of the data set, run beside run."""
    names = list(dict.fromkeys(name for report in reports for name in report.classes))
    return _slice_rows(reports, "class", dict.fromkeys(names, ""))


def size_rows(reports: Sequence[RunReport]) -> list[SliceRow]:
    """Small, medium and large objects, by the side of a square of their area."""
    notes = {}
    for name, (low, high) in SIZES.items():
        above = f"{100 * low:g} %"
        notes[name] = f"below {100 * high:g} %" if low <= 0 else f"{above} and more" if high > 1 else f"{above} to {100 * high:g} %"
    return _slice_rows(reports, "size", notes)


def _slice_rows(reports: Sequence[RunReport], kind: str, notes: Mapping[str, str]) -> list[SliceRow]:
    metrics, found = slice_metrics(reports), []
    for name, note in notes.items():
        first = True
        for report in reports:
            here = {metric: report.model.intervals.get(f"{metric}/{kind}/{name}") for metric in metrics}
            sizes = [interval.n for interval in here.values() if interval is not None]
            if sizes:
                cells = [terms.cell(metric, interval) for metric, interval in here.items()]
                found.append(SliceRow(name, note, report.label, first, max(sizes), cells))
                first = False
    return found


def settings(objects: Sequence[Mapping[str, Any]]) -> list[Setting]:
    """Dotted keys of nested JSON objects side by side; keys whose values differ come first."""
    flat = [_flatten(item) for item in objects]
    keys = list(dict.fromkeys(key for item in flat for key in item))
    found = []
    for key in keys:
        values = [item.get(key, "\u2014") for item in flat]
        found.append(Setting(key, values, len(set(values)) > 1))
    return sorted(found, key=lambda setting: not setting.differs)


def _flatten(value: Any, prefix: str = "") -> dict[str, str]:
    children: list[tuple[str, Any]] = []
    if isinstance(value, Mapping) and value:
        children = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
        children = [(str(i), item) for i, item in enumerate(value)]
    if not children:
        return {prefix: _text(value)}
    found: dict[str, str] = {}
    for key, item in children:
        found |= _flatten(item, f"{prefix}.{key}" if prefix else key)
    return found


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return json.dumps(value, ensure_ascii=False)
