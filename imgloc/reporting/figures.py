"""The figures of a report. They use the objects of matplotlib instead of pyplot, which has global state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from imgloc.reporting.svg import STYLE, color
from imgloc.types import FloatArray

MIN_SHARE_SPAN = 0.1
MARKERS = 6  # of a line, about


class Style(NamedTuple):
    """How a line looks: a name in `svg.THEME`, a matplotlib line style, and a matplotlib marker or nothing."""

    color: str
    dash: str
    marker: str = ""


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    style: Style
    x: Sequence[float]
    y: Sequence[float]
    band: tuple[Sequence[float], Sequence[float]] | None = None  # its lower and upper edge
    steps: bool = False  # keeps each value until the next point


def line_chart(
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str = "",
    log: bool = False,
    unit_square: bool = False,
    share: bool = False,
    every_point: bool = False,
) -> Figure:
    """A chart of lines. `unit_square`: both axes are from 0 to 1; `every_point`: the marker is on every point.

    Else it is on a few points of each line, to distinguish lines without their colours, if there are several lines.

    `share`: values are in [0, 1], and the axis spans at least `MIN_SHARE_SPAN` of it, so that noise does not look like a change.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.1, 2.8) if unit_square else (3.5, 2.15), layout="constrained")
        axes = figure.add_subplot()
        _set_style(axes)
        for number, line in enumerate(lines):
            form = "steps-post" if line.steps else "default"
            if line.band is not None:
                shade: dict[str, Any] = {"color": color(line.style.color), "alpha": 0.18, "linewidth": 0}
                axes.fill_between(line.x, *line.band, step="post" if line.steps else None, **shade)
            axes.plot(
                line.x, line.y, color=color(line.style.color), linestyle=line.style.dash, linewidth=1.4,
                marker=line.style.marker, markersize=4, markeredgewidth=0, markevery=_marked(lines, number, every_point),
                solid_capstyle="round", dash_capstyle="round", clip_on=log, drawstyle=form,
            )  # fmt: skip
        axes.set_xlabel(x_label, color=color("muted"))
        if y_label:
            axes.set_ylabel(y_label, color=color("muted"))
        if unit_square:
            axes.set(xlim=(0, 1), ylim=(0, 1.02), xticks=[0, 0.3, 0.5, 0.7, 1], yticks=[0, 0.25, 0.5, 0.75, 1])
            axes.set_xticklabels(["0", "0.3", "0.5", "0.7", "1"])
            axes.grid(axis="x", color=color("grid"), linewidth=0.6)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=6))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.tick_params(which="minor", length=0)
        elif not unit_square:
            lowest = min((value for line in lines for value in line.y if np.isfinite(value)), default=-1)
            if share and lowest >= 0:  # MOTA is a share that may be negative
                axes.set_ylim(*_share_limits(*axes.get_ylim()))
            axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
            if lowest >= 0:
                axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))  # no negative ticks, as for a line that is 0 everywhere
    return figure


def _marked(lines: Sequence[Line], number: int, every_point: bool) -> list[int]:
    """The points of a line that have its marker. Those of other lines are elsewhere, so that markers do not cover each other."""
    count = len(lines[number].x)
    if every_point or int(np.isfinite(lines[number].y).sum()) == 1:
        return list(range(count))
    if len(lines) == 1:
        return []
    step = max(1, count // MARKERS)
    return list(range(number * step // len(lines), count, step))


def _share_limits(low: float, high: float) -> tuple[float, float]:
    """Limits in [0, 1] that contain the part of low to high that is there, at least `MIN_SHARE_SPAN` apart."""
    low, high = max(low, 0.0), min(high, 1.0)
    missing = max(0.0, MIN_SHARE_SPAN - (high - low))
    low = min(max(0.0, low - missing / 2), 1 - MIN_SHARE_SPAN)
    return low, max(high, low + MIN_SHARE_SPAN)


def heat_map_side(classes: int) -> float:
    """The width and height of a confusion heat map in inches: cells of few classes are not larger than those of eight."""
    return 1.1 + 0.4375 * min(classes, 8)


def confusion_heat_map(share_txp: FloatArray, true_names: Sequence[str], predicted_names: Sequence[str]) -> Figure:
    """A heat map of shares [true, predicted] in [0, 1]; the cells have numbers if there is room."""
    rows, columns = share_txp.shape
    with matplotlib.rc_context(STYLE):
        side = heat_map_side(max(rows, columns))
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.add_subplot()
        size = 8.0 if max(rows, columns) <= 12 else 6.0 if max(rows, columns) <= 20 else 5.0
        for true, predicted in zip(*np.nonzero(share_txp), strict=True):
            share = float(share_txp[true, predicted])
            shade = max(0.06, share**0.5)  # the square root makes rare confusions visible
            cell = Rectangle((predicted - 0.5, true - 0.5), 1, 1, facecolor=color("heat"), alpha=shade, linewidth=0)
            axes.add_patch(cell)
            if max(rows, columns) <= 12:
                text = f"{100 * share:.0f}" if share >= 0.01 else "<1"
                axes.text(predicted, true, text, ha="center", va="center", color=color("ink"), fontsize=size)
        axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), aspect="equal")
        vertical = max(map(len, predicted_names), default=0) > (2 if columns > 3 else 5)
        axes.set_xticks(range(columns), [_short(name) for name in predicted_names], rotation=90 if vertical else 0, fontsize=size)
        axes.set_yticks(range(rows), [_short(name) for name in true_names], fontsize=size)
        axes.set_xlabel("predicted class", color=color("muted"), fontsize=size)
        axes.set_ylabel("true class", color=color("muted"), fontsize=size)
        axes.tick_params(length=0, colors=color("ink"))
        axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
        axes.grid(which="minor", color=color("grid"), linewidth=0.4)
        axes.tick_params(which="minor", length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure


def _set_style(axes: Axes) -> None:
    axes.set_facecolor("none")
    axes.grid(axis="y", color=color("grid"), linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=color("muted"))
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set(color=color("grid"), linewidth=0.8)


def _short(name: str, limit: int = 18) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "\u2026"
