"""Charts over training steps and over thresholds, with all runs in one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard

import numpy as np
from markupsafe import Markup

from imgloc.evaluation import scoring
from imgloc.reporting.figures import Line, Style, line_chart
from imgloc.reporting.load import RunReport, metric_of
from imgloc.reporting.svg import RUN_COLORS, inline_svg
from imgloc.types import FloatArray

MAX_POINTS = 1000  # of a line
THRESHOLDS = np.linspace(0, 1, 101)


class Key(NamedTuple):
    """A value of metrics.jsonl."""

    kind: str  # train or validation
    name: str


@dataclass(frozen=True)
class Chart:
    """A figure with its title; `key` is the name of the value in metrics.jsonl, empty for other charts."""

    title: str
    key: str
    svg: Markup


def run_style(index: int) -> Style:
    """The style of a run: a colour and a marker, which repeat after `RUN_COLORS` runs with another dash style."""
    return Style(f"run-{index % RUN_COLORS}", ("-", "--", ":", "-.")[index // RUN_COLORS % 4], "os^DvP"[index % RUN_COLORS])


def training_charts(reports: Sequence[RunReport]) -> tuple[list[Chart], list[Chart]]:
    """(losses and validation metrics, all other logged values), one chart for each value."""
    keys = {key: None for report in reports for record in report.metrics_log for key in _keys(record)}
    validation = [key.name for key in keys if key.kind == "validation"]
    losses = sorted(key for key in keys if key.kind == "train" and (key.name == "loss" or key.name.startswith("loss/")))
    ordered = losses + [Key("validation", name) for name in scoring.in_order(validation, reports[0].task)]
    ordered += [Key("validation", name) for name in sorted(validation) if "/" in name]
    rest = [key for key in sorted(keys) if key not in ordered]
    return [_training_chart(reports, key) for key in ordered], [_training_chart(reports, key) for key in rest]


def _keys(record: Mapping[str, object]) -> list[Key]:
    kind = str(record.get("kind", "train"))
    return [Key(kind, name) for name, value in record.items() if name not in ("step", "kind", "images") and _is_number(value)]


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: object) -> float:
    return float(value) if _is_number(value) else float("nan")


def _training_chart(reports: Sequence[RunReport], key: Key) -> Chart:
    lines, ends = [], []
    for index, report in enumerate(reports):
        records = [r for r in report.metrics_log if r.get("kind", "train") == key.kind and key.name in r and "step" in r]
        records = records[:: max(1, -(-len(records) // MAX_POINTS))]
        if records:
            values = [_number(record[key.name]) for record in records]
            lines.append(Line(run_style(index), [_number(record["step"]) for record in records], values))
            finite = [value for value in values if np.isfinite(value)]
            ends.append(f"{report.label} ends at {finite[-1]:.4g}" if finite else f"{report.label} has no finite value")
    finite = [value for line in lines for value in line.y if np.isfinite(value)]
    is_log = key.name.startswith(("loss", "grad_norm")) and bool(finite) and min(finite) > 0 and max(finite) / min(finite) > 30
    every_point = key.kind == "validation" and max(len(line.x) for line in lines) <= 40
    share = key.kind == "validation" and metric_of(reports, key.name).unit in ("share", "IoU")
    figure = line_chart(lines, x_label="step", log=is_log, share=share, every_point=every_point)
    title = _training_title(reports, key) + (" (log scale)" if is_log else "")
    return Chart(title, key.name, inline_svg(figure, f"{key.kind}-{_slug(key.name)}", f"{title} over training steps: {'; '.join(ends)}"))


def _training_title(reports: Sequence[RunReport], key: Key) -> str:
    """The title of a chart. That of a validation metric has the number of images: the axis may be narrow, and small steps noise."""
    if key.kind == "train":
        titles = {"loss": "Training loss", "lr": "Learning rate", "grad_norm": "Gradient norm"}
        return titles.get(key.name, f"Training loss: {key.name[5:]}" if key.name.startswith("loss/") else key.name)
    counts = sorted({int(_number(r["images"])) for report in reports for r in report.metrics_log if key.name in r and "images" in r})
    images = f" (n = {' or '.join(f'{count:,}' for count in counts)})" if counts else ""
    return f"Validation: {metric_of(reports, key.name).title}{images}"


def _slug(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}" for c in name)


def threshold_charts(reports: Sequence[RunReport], baselines: Sequence[tuple[str, int, str]]) -> list[Chart]:
    """The share of examples that reaches each threshold, one chart for each curve of the tasks.

    `baselines` are those of `tables.baselines`.
    """
    charts = []
    curves = {curve.title: curve for report in reports for curve in report.task.curves}
    for curve in curves.values():
        predictors = [(report.label, run_style(i), report.model.rows) for i, report in enumerate(reports) if curve in report.task.curves]
        for number, (title, i, name) in enumerate(baselines):
            if curve in reports[i].task.curves:
                predictors.append((title, baseline_style(number), reports[i].scored[name].rows))
        lines, ends = [], []
        for label, style, rows in predictors:
            share = share_reaching(curve.values(rows))
            if not np.isnan(share).all():
                lines.append(Line(style, list(THRESHOLDS), list(share)))
                ends.append(f"{label} {100 * share[50]:.1f} %")
        if lines:
            figure = line_chart(lines, x_label=f"{curve.threshold} threshold", y_label="share of images", unit_square=True)
            label = f"{curve.title}: share of images against the {curve.threshold} threshold; at 0.5: {', '.join(ends)}"
            charts.append(Chart(curve.title, "", inline_svg(figure, f"curve-{_slug(curve.title)}", label)))
    return charts


def baseline_style(number: int) -> Style:
    """The style of a baseline: grey, dashed or dotted, without markers."""
    return Style(f"base-{number % 2}", "--" if number % 2 == 0 else ":")


def share_reaching(values_n: FloatArray) -> FloatArray:
    """The shares [101] of values that are at least 0, 0.01, ..., 1. NaN values do not count; all shares are NaN if no value counts."""
    values = values_n[~np.isnan(values_n)]
    if not len(values):
        return np.full(len(THRESHOLDS), np.nan)
    shares: FloatArray = (values[None, :] >= THRESHOLDS[:, None]).mean(axis=1)
    return shares
