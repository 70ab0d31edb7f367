"""Curves over training steps and over IoU thresholds, several runs in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from imgloc.evaluation import scoring
from imgloc.report.figures import Line, line_chart
from imgloc.report.load import RunReport
from imgloc.report.svg import RUN_COLORS, inline
from imgloc.types import FloatArray

POINTS = 1000  # drawn of a line at most
THRESHOLDS = np.linspace(0, 1, 101)
Key = tuple[str, str]  # kind of record, name of the value


@dataclass(frozen=True)
class Chart:
    """A figure with its heading."""

    title: str
    key: str
    svg: Markup


def run_line(index: int) -> tuple[str, str]:
    """Colour and dash of a run: the colours begin again with dashes when they are used up."""
    return f"run-{index % RUN_COLORS}", ("-", "--", ":", "-.")[index // RUN_COLORS % 4]


def training_charts(reports: Sequence[RunReport]) -> tuple[list[Chart], list[Chart]]:
    """(losses and validation metrics, everything else that was logged), one chart a value, in reading order."""
    keys = {key: None for report in reports for record in report.metrics_log for key in _keys(record)}
    validation = [name for kind, name in keys if kind == "validation"]
    losses = sorted(key for key in keys if key[0] == "train" and (key[1] == "loss" or key[1].startswith("loss/")))
    ordered = losses + [("validation", name) for name in scoring.in_order(validation, reports[0].task)]
    ordered += [("validation", name) for name in sorted(validation) if "/" in name]
    rest = [key for key in sorted(keys) if key not in ordered]
    return [_training_chart(reports, key) for key in ordered], [_training_chart(reports, key) for key in rest]


def _keys(record: dict[str, Any]) -> list[Key]:
    return [(str(record.get("kind", "train")), name) for name, value in record.items() if name not in ("step", "kind") and _number(value)]


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _training_chart(reports: Sequence[RunReport], key: Key) -> Chart:
    kind, name = key
    lines = []
    for index, report in enumerate(reports):
        records = [r for r in report.metrics_log if r.get("kind", "train") == kind and name in r and "step" in r]
        records = records[:: max(1, -(-len(records) // POINTS))]
        if records:
            values = [float(r[name]) if _number(r[name]) else float("nan") for r in records]
            lines.append(Line(*run_line(index), [r["step"] for r in records], values))
    seen = np.concatenate([np.asarray(line.y) for line in lines])
    seen = seen[np.isfinite(seen)]
    log = name.startswith(("loss", "grad_norm")) and len(seen) > 0 and seen.min() > 0 and seen.max() / seen.min() > 30
    figure = line_chart(lines, x_label="step", log=bool(log), marker=kind == "validation" and max(len(line.x) for line in lines) <= 40)
    title = _training_title(kind, name) + (" (log scale)" if log else "")
    ends = "; ".join(f"{r.label} ends at {_last(line.y)}" for r, line in zip(_with(reports, key), lines, strict=True))
    return Chart(title, name, inline(figure, f"{kind}-{_slug(name)}", f"{title} over training steps: {ends}"))


def _with(reports: Sequence[RunReport], key: Key) -> list[RunReport]:
    return [r for r in reports if any(key[1] in record and record.get("kind", "train") == key[0] for record in r.metrics_log)]


def _last(values: Sequence[float]) -> str:
    finite = [value for value in values if np.isfinite(value)]
    return f"{finite[-1]:.4g}" if finite else "no finite value"


def _training_title(kind: str, name: str) -> str:
    if kind == "train":
        names = {"loss": "Training loss", "lr": "Learning rate", "grad_norm": "Gradient norm"}
        return names.get(name, f"Training loss: {name[5:]}" if name.startswith("loss/") else name)
    return f"Validation: {scoring.metric_of(name).title}"


def _slug(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}" for c in name)


def threshold_charts(reports: Sequence[RunReport], baselines: Sequence[tuple[str, int, str]]) -> list[Chart]:
    """The share of examples that reaches each threshold, one chart for each curve of the tasks.

    `baselines`: (name to show, index of the run whose rows are drawn, name of the baseline).
    """
    charts = []
    curves = {curve.title: curve for report in reports for curve in report.task.curves}
    for curve in curves.values():
        drawn = [(report.label, run_line(i), report.model.rows) for i, report in enumerate(reports) if curve in report.task.curves]
        for number, (label, i, name) in enumerate(baselines):
            if curve in reports[i].task.curves:
                drawn.append((label, baseline_line(number), reports[i].scored[name].rows))
        lines, ends = [], []
        for label, style, rows in drawn:
            share = share_reaching(curve.values(rows))
            if not np.isnan(share).all():
                lines.append(Line(*style, list(THRESHOLDS), list(share)))
                ends.append(f"{label} {100 * share[50]:.1f} %")
        if lines:
            figure = line_chart(lines, x_label=f"{curve.threshold} threshold", y_label="share of images", unit_square=True)
            label = f"{curve.title}: share of images against the {curve.threshold} threshold; at 0.5: {', '.join(ends)}"
            charts.append(Chart(curve.title, "", inline(figure, f"curve-{_slug(curve.title)}", label)))
    return charts


def baseline_line(number: int) -> tuple[str, str]:
    """Colour and dash of a baseline."""
    return f"base-{number % 2}", "--" if number % 2 == 0 else ":"


def share_reaching(values_n: FloatArray) -> FloatArray:
    """Shares [101] in [0, 1] of values that are at least 0, 0.01, ..., 1; NaN values do not count; NaN where none counts."""
    counted = values_n[~np.isnan(values_n)]
    if not len(counted):
        return np.full(len(THRESHOLDS), np.nan)
    shares: FloatArray = (counted[None, :] >= THRESHOLDS[:, None]).mean(axis=1)
    return shares
