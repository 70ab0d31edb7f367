"""Parallel coordinates of a sweep: an axis for each key that differs, the last one for the metric, and a line for each point."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

STEP, HEIGHT, TOP, BOTTOM, SIDE = 148, 300, 44, 16, 74  # of the picture, in its own unit
MAX_TICKS = 6
MAX_LABEL = 20  # characters
LOG_RATIO = 30.0  # positive numbers with a larger ratio have a logarithmic axis


@dataclass(frozen=True)
class Axis:
    """An axis: where a value lies, 0 at the bottom and 1 at the top, by its text."""

    title: str
    places: Mapping[str, float]
    ticks: Mapping[str, float]


@dataclass(frozen=True)
class Polyline:
    """A point: its number in the sweep, a text for tooltips, its place on each axis that it reaches, and how it looks."""

    number: int
    label: str
    places: Sequence[float]
    kind: str  # finished, best, failed or unfinished
    shade: float  # 0 for the worst, 1 for the best


def text_of(value: object) -> str:
    """Return a value of a config as a short text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(text_of, value)) if isinstance(value, (list, tuple)) else str(value)


def make_axis(title: str, values: Sequence[object]) -> Axis:
    """Return the axis of a key or a metric: linear or logarithmic for numbers, otherwise one place for each value as they occur."""
    texts = [text_of(value) for value in values]
    numbers = [float(value) for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) < len(values) or not numbers:
        distinct = list(dict.fromkeys(texts))
        places = {text: (i / (len(distinct) - 1) if len(distinct) > 1 else 0.5) for i, text in enumerate(distinct)}
        return Axis(title, places, _thinned(places))
    is_log = _is_logarithmic(numbers)
    scaled = [math.log(number) if is_log else number for number in numbers]
    low, high = min(scaled), max(scaled)
    unordered = {text: ((place - low) / (high - low) if high > low else 0.5) for text, place in zip(texts, scaled, strict=True)}
    places = dict(sorted(unordered.items(), key=lambda item: item[1]))
    ticks = _thinned(places)
    if len(places) > MAX_TICKS and not is_log:  # round numbers instead of the values
        inside = [float(tick) for tick in MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high) if low <= tick <= high]
        ticks = {f"{tick:g}": (tick - low) / (high - low) for tick in inside}
    return Axis(f"{title} (log)" if is_log else title, places, ticks)


def _is_logarithmic(numbers: Sequence[float]) -> bool:
    """Return whether positive numbers of a large ratio lie more evenly on a logarithmic axis than on a linear one."""
    low, middle, high = min(numbers), statistics.median(numbers), max(numbers)
    if low <= 0 or high / low <= LOG_RATIO:
        return False
    linear, logarithmic = (middle - low) / (high - low), math.log(middle / low) / math.log(high / low)
    return abs(logarithmic - 0.5) < abs(linear - 0.5)


def _thinned(places: Mapping[str, float]) -> dict[str, float]:
    """Return at most MAX_TICKS of the places, the first and the last among them."""
    entries = list(places.items())
    if len(entries) <= MAX_TICKS:
        return dict(entries)
    chosen = {round(i * (len(entries) - 1) / (MAX_TICKS - 1)) for i in range(MAX_TICKS)}
    ticks: dict[str, float] = {}
    for text, place in (entries[i] for i in sorted(chosen)):
        if all(abs(place - other) > 0.06 for other in ticks.values()):
            ticks[text] = place
    return ticks


def picture(axes: Sequence[Axis], lines: Sequence[Polyline], label: str) -> Markup:
    """Return the picture as an `<svg>` element, whose classes the page styles. Later lines lie above earlier ones."""
    width = 2 * SIDE + STEP * (len(axes) - 1)
    sides = f'viewBox="0 0 {width} {HEIGHT}" style="min-width:{width}px;max-width:{1.3 * width:.0f}px"'
    parts = [f'<svg class="parallel" {sides} role="img" aria-label="{escape(label)}">']
    for line in lines:
        corners = " ".join(f"{SIDE + STEP * i},{_height(place):.1f}" for i, place in enumerate(line.places))
        if len(line.places) == 1:  # a line of one corner is not drawn
            corners = f"{SIDE - 8},{_height(line.places[0]):.1f} {SIDE + 8},{_height(line.places[0]):.1f}"
        # The first of the two is invisible, and easier to point at.
        drawn = f'<polyline class="wide" points="{corners}"/><polyline points="{corners}"/>'
        group = f'<g class="line {line.kind}" data-point="{line.number}" style="--shade:{line.shade:.3f}">'
        parts.append(f"{group}<title>{escape(line.label)}</title>{drawn}</g>")
    for i, axis in enumerate(axes):
        x = SIDE + STEP * i
        parts.append(f'<path class="axis" d="M{x} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text class="title" x="{x}" y="16">{_shortened(axis.title)}</text>')
        parts += [f'<text class="tick" x="{x - 7}" y="{_height(y) + 3.5:.1f}">{_shortened(text)}</text>' for text, y in axis.ticks.items()]
    return Markup("".join(parts) + "</svg>")


def _height(place: float) -> float:
    return HEIGHT - BOTTOM - place * (HEIGHT - BOTTOM - TOP)


def _shortened(text: str) -> Markup:
    short = text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1] + "\u2026"
    return escape(short) if short == text else escape(short) + Markup("<title>") + escape(text) + Markup("</title>")
