"""Pictures of an experiment: learning curves over seeds, and any drawing as the bytes of a file that are the same each time."""

from __future__ import annotations

import functools
import io
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from imgloc.experiments.declared import Json, Runs

STYLE: Any = {"svg.hashsalt": "imgloc", "svg.fonttype": "none", "font.size": 9}


@dataclass(frozen=True)
class Panel:
    """The arms in one plot."""

    title: str
    arms: Sequence[str]
    log: bool = False  # scale of the values


def learning_curves(
    results: Json,
    panels: Sequence[Panel],
    x: Callable[[Json, str, float], float],
    x_label: str,
    y_label: str,
    *,
    error: bool = False,
    scale: float = 1,
    form: str = "svg",
) -> bytes:
    """Return a picture of the first metric of each arm on validation, unfinished runs too: median over the seeds, and range.

    `x` returns the place of a number of steps, from the results and the name of an arm. With `error`, 1 minus the metric is drawn.
    Panels without runs are left out.
    """
    runs = results.get("runs", {})
    shown = [panel for panel in panels if any(name in runs for name in panel.arms)] or panels[:1]

    def draw(figure: Figure) -> None:
        for axes, panel in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            for name in panel.arms:
                band(axes, name, *_points(runs.get(name, []), error, scale), functools.partial(x, results, name))
            axes.set(xlabel=x_label, ylabel=y_label, title=panel.title)
            if panel.log:
                axes.set_yscale("log")
                axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
                axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
                axes.yaxis.set_minor_formatter(NullFormatter())
            finish(axes)

    return picture(draw, (4.8 * len(shown), 3.8), form)


def _points(runs: Runs, error: bool, scale: float) -> tuple[list[float], list[list[float]]]:
    """The steps of the longest run, and the values of all runs at each."""
    curves = [[(step, value) for step, value, *_ in run.get("validation", ()) if value is not None] for run in runs]
    longest = max(curves, key=len, default=[])
    values = [[curve[i][1] for curve in curves if len(curve) > i] for i in range(len(longest))]
    return [step for step, _ in longest], [[scale * (1 - value if error else value) for value in several] for several in values]


def band(axes: Axes, label: str, places: Sequence[float], values: Sequence[Sequence[float]], x: Callable[[float], float] = float) -> None:
    """Draw the medians of several values at each place, and their range; nothing without places."""
    if places:
        at = [x(place) for place in places]
        (line,) = axes.plot(at, [statistics.median(several) for several in values], marker="o", markersize=2.5, label=label)
        lowest, highest = [min(several) for several in values], [max(several) for several in values]
        axes.fill_between(at, lowest, highest, color=line.get_color(), alpha=0.15, linewidth=0)


def finish(axes: Axes) -> None:
    """Draw a grid, and a legend where something has a label."""
    axes.grid(linewidth=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7.5)


def picture(draw: Callable[[Figure], None], size: tuple[float, float], form: str = "svg") -> bytes:
    """Return the file, `svg` or `png`, of a figure that a function draws. `size` is (width, height) in inches."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=form, dpi=110, metadata={"Date": None} if form == "svg" else None)
    return buffer.getvalue()
