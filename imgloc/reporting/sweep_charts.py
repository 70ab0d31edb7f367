"""The pictures of a sweep: parallel coordinates, the best value so far, learning curves, and the importance of each key."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from scipy.special import gammaln

from imgloc.evaluation.importance import importances
from imgloc.interfaces import Metric
from imgloc.reporting.curves import run_style
from imgloc.reporting.figures import Line, Style, line_chart
from imgloc.reporting.parallel_coordinates import Polyline, make_axis, picture, text_of
from imgloc.reporting.svg import RUN_COLORS, inline_svg
from imgloc.reporting.sweep_load import Sweep, SweepPoint
from imgloc.reporting.tables import Cell
from imgloc.types import FloatArray

OTHERS = Style("base-1", "-")  # of configs that are not among the best


@dataclass(frozen=True)
class ImportanceRow:
    """The share of variance that a key explains, and the model that it is explained by."""

    key: str
    cell: Cell
    note: str


def importance_rows(sweep: Sweep) -> list[ImportanceRow]:
    """The keys by their importance; see `imgloc.evaluation.importance`. A metric that is not finite leaves its point out."""
    points = [point for point in sweep.ranked if math.isfinite(sweep.value(point) or 0.0)]
    values = {key: [point.values[key] for point in points] for key in sweep.keys}
    rows = []
    for found in importances(values, np.array([sweep.value(point) for point in points], np.float64)):
        low, high, share = (round(100 * value, 1) for value in (found.low, found.high, found.share))
        note = "parabola" if found.parabola else f"{len(set(map(repr, values[found.key])))} values"
        cell = Cell(f"{share:.0f} %", f"[{low:.0f}, {high:.0f}]", low, round(high - low, 1), share)
        rows.append(ImportanceRow(found.key, cell, note))
    return rows


def parallel_coordinates(sweep: Sweep) -> Markup:
    """The picture of all points; those without a value end before the axis of the metric."""
    ranked = sweep.ranked
    finite = [point for point in ranked if math.isfinite(sweep.value(point) or 0.0)]
    keys = [make_axis(key, [point.values[key] for point in sweep.points]) for key in sweep.keys]
    title = sweep.metric.key + (" (%)" if sweep.metric.unit == "share" else "")
    axes = [*keys, make_axis(title, [_shown(sweep.metric, sweep.value(point)) for point in finite])] if finite else keys
    lines = []
    for point in sorted(sweep.points, key=lambda point: ranked.index(point) if point in ranked else len(ranked), reverse=True):
        places = [axis.places[text_of(point.values[key])] for axis, key in zip(keys, sweep.keys, strict=True)]
        kind, shade, text = point.state, 0.0, point.state
        if point in finite:
            places.append(axes[-1].places[text_of(_shown(sweep.metric, sweep.value(point)))])
            kind = "best" if point == ranked[0] else "finished"
            shade = 1 - ranked.index(point) / max(1, len(ranked) - 1)
            text = sweep.metric.text(sweep.value(point) or 0.0)
        lines.append(Polyline(point.number, f"{point.name}: {text}", places, kind, shade))
    label = f"Parallel coordinates of {len(sweep.points)} points: {', '.join(axis.title for axis in axes)}. The table has the same values."
    return picture(axes, [line for line in lines if line.places], label)


def _shown(metric: Metric, value: float | None) -> float:
    return 100 * (value or 0.0) if metric.unit == "share" else value or 0.0


def best_so_far_chart(sweep: Sweep) -> Markup | None:
    """The best value after each point in the order of the sweep; the band has 95 % of the random orders of the same points."""
    values_n = np.array([value for point in sweep.points if (value := sweep.value(point)) is not None and math.isfinite(value)])
    if len(values_n) < 2:
        return None
    sign = sweep.metric.sign
    best = sign * np.maximum.accumulate(sign * values_n)
    low, high = (sign * edge for edge in orders_of_the_best(sign * values_n))
    steps = list(range(1, len(values_n) + 1))
    line = Line(Style("run-0", "-"), steps, best.tolist(), band=(low.tolist(), high.tolist()), steps=True)
    figure = line_chart([line], x_label="finished points", share=sweep.metric.unit in ("share", "IoU"))
    return inline_svg(
        figure, "best-so-far", f"Best {sweep.metric.title} so far: {sweep.metric.text(float(best[-1]))} after {len(best)} points"
    )


def orders_of_the_best(values_n: FloatArray, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Return the quantiles [n], [n] of the highest of the first k of n values in a random order, k = 1 to n.

    The highest of k is at most the j-th smallest value with probability C(j, k) / C(n, k), as the values are drawn without
    replacement (compare Dodge et al., 2019, arXiv:1909.03004, who draw with it).
    """
    ordered, n = np.sort(values_n), len(values_n)
    j_n = np.arange(1, n + 1)
    edges = np.empty((2, n))
    for k in range(1, n + 1):
        at_most_n = np.exp(gammaln(j_n + 1) - gammaln(np.maximum(j_n - k, 0) + 1) - gammaln(n + 1) + gammaln(n - k + 1)) * (j_n >= k)
        edges[:, k - 1] = ordered[np.searchsorted(at_most_n, ((1 - level) / 2, (1 + level) / 2))]
    return edges[0], edges[1]


def learning_curves(sweep: Sweep) -> tuple[Markup, list[tuple[str, Style]]] | None:
    """The validation of each config over training steps and the key of its best configs; a band has all seeds of a config."""
    groups: dict[str, list[SweepPoint]] = {}
    for point in (*sweep.ranked, *(point for point in sweep.points if sweep.value(point) is None)):
        if point.curve:
            groups.setdefault(_config_name(point), []).append(point)
    if not groups:
        return None
    ordered = sorted(groups.items(), key=lambda item: -_mean(sweep, item[1]))
    named = [(name, run_style(i)) for i, (name, _) in enumerate(ordered[:RUN_COLORS])]
    styles = [*(style for _, style in named), *[OTHERS] * (len(ordered) - len(named))]
    lines = [_learning_curve(members, style) for (_, members), style in zip(ordered, styles, strict=True)]
    every_point = max(len(line.x) for line in lines) <= 40
    figure = line_chart(lines[::-1], x_label="step", share=sweep.metric.unit in ("share", "IoU"), every_point=every_point)
    label = f"Validation {sweep.metric.title} over training steps of {len(ordered)} configs, the best of them {ordered[0][0]}"
    return inline_svg(figure, "learning", label), named + ([("other configs", OTHERS)] if len(ordered) > len(named) else [])


def _config_name(point: SweepPoint) -> str:
    return ", ".join(f"{key.rpartition('.')[2]}={text_of(value)}" for key, value in point.config_values.items()) or "all points"


def _mean(sweep: Sweep, points: Sequence[SweepPoint]) -> float:
    """The mean value of a config, higher is better; those without a value are last."""
    values = [sweep.metric.sign * value for point in points if (value := sweep.value(point)) is not None and math.isfinite(value)]
    return sum(values) / len(values) if values else -math.inf


def _learning_curve(points: Sequence[SweepPoint], style: Style) -> Line:
    """The mean over the seeds at each step that some of them have, and the band of their lowest and highest value."""
    by_step: dict[float, list[float]] = {}
    for point in points:
        for step, value in point.curve:
            by_step.setdefault(step, []).append(value)
    steps = sorted(by_step)
    means = [sum(by_step[step]) / len(by_step[step]) for step in steps]
    edges = ([min(by_step[step]) for step in steps], [max(by_step[step]) for step in steps])
    return Line(style, steps, means, band=edges if len(points) > 1 and style != OTHERS else None)
