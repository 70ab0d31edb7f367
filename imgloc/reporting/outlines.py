"""Outlines on an image: boxes, and for a model with attention the window of each fixation and the path between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from imgloc import boxes
from imgloc.reporting.animation import Part, Timeline, interpolated_css, join_parts, stepped_css, visibility_css

Size: TypeAlias = tuple[float, float]  # displayed width and height of the image
Box: TypeAlias = Sequence[float]  # xyxy in [0, 1] of the image
#: Classes: h and i are dark halos below other lines, t true boxes, p predicted boxes. Line widths do not scale with the image.
BOX_CSS = (
    "{n} .h,{n} .i{{stroke:#000;stroke-opacity:.55}}{n} .h{{stroke-width:4}}"
    "{n} .h,{n} .i,{n} .t,{n} .p,{n} .l,{n} .w,{n} .d{{fill:none;vector-effect:non-scaling-stroke}}"
    "{n} .t{{stroke:#10c08f;stroke-width:1.5}}{n} .p{{stroke:#f06a00;stroke-width:2;stroke-dasharray:6 3}}"
)
#: Classes: l windows, w the path, d the centers, e the current center.
FIXATION_CSS = (
    "{n} .i{{stroke-width:3.2;stroke-linecap:round}}{n} .l{{stroke:#ffdf3a;stroke-width:2}}{n} .w{{stroke:#ffdf3a;stroke-width:1.2}}"
    "{n} .d{{stroke:#ffdf3a;stroke-width:4;stroke-linecap:round}}{n} .d.i{{stroke:#000;stroke-width:6}}{n} .e{{stroke-width:7.5}}"
    "{n} .e.i{{stroke-width:10}}"
)


def outline_css(name: str, *, fixations: bool) -> str:
    """CSS of all outlines inside the element of class `name`."""
    return (BOX_CSS + FIXATION_CSS * fixations).format(n=f".{name}")


def rect_attributes(box: Box, size: Size) -> str:
    """The attributes of a `<rect>` for a box."""
    x, y, width, height = _position(box, size)
    return f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'


def rect_css(box: Box, size: Size) -> str:
    """The CSS declarations of a `<rect>` for a box. A transform would be shorter, but Chromium blurs strokes that it stretches."""
    x, y, width, height = _position(box, size)
    return f"x:{x:.1f}px;y:{y:.1f}px;width:{width:.1f}px;height:{height:.1f}px"


def _position(box: Box, size: Size) -> tuple[float, float, float, float]:
    """x, y, width and height of a box in the displayed image."""
    x0, y0, x1, y1 = box
    return x0 * size[0], y0 * size[1], (x1 - x0) * size[0], (y1 - y0) * size[1]


def box_outlines(true_boxes: Sequence[Box], predicted_boxes: Sequence[Box], size: Size, timeline: Timeline) -> Part:
    """The true boxes, and the predicted box of each step if there are any."""
    attributes = [rect_attributes(box, size) for box in true_boxes]
    true = "".join(f'<rect class="h" {each}/><rect class="t" {each}/>' for each in attributes)
    if not predicted_boxes:
        return Part(true)
    predicted = "".join(f'<rect class="{kind} {timeline.name}-b" {rect_attributes(predicted_boxes[-1], size)}/>' for kind in "hp")
    return Part(true + predicted, interpolated_css(timeline, "b", [rect_css(box, size) for box in predicted_boxes]))


def object_outlines(objects: Sequence[Box], is_shown: Sequence[Sequence[bool]], size: Size, timeline: Timeline) -> Part:
    """The detected objects, each at the steps that `is_shown` (s, n) names."""
    parts = []
    for i, box in enumerate(objects):
        steps = [visibility_css(shown[i]) for shown in is_shown]
        rects = "".join(f'<rect class="{kind} {timeline.name}-o{i}" {rect_attributes(box, size)}/>' for kind in "hp")
        parts.append(Part(rects, stepped_css(timeline, f"o{i}", steps)))
    return join_parts(parts)


def fixation_path(fixations: Sequence[Box], size: Size, timeline: Timeline) -> Part:
    """The window of each fixation, its center and the path to it. They jump: the model sees nothing between two fixations."""
    if not fixations:
        return Part("")
    windows, centers = _clipped_windows(fixations), _centers(fixations, size)
    count, name = len(fixations), timeline.name
    # A segment appears together with the dot at its end. All halos are below all lines, so that they hide no earlier segment.
    segments, dots = [_segment(centers, i) for i in range(count)], [_dot(center) for center in centers]
    path = "".join(
        f'<path class="{kind} {name}-w{i}" d="{segments[i]}"/>' for kind in ("i", "w") for i in range(1, count)
    ) + "".join(f'<path class="{kind} {name}-w{i}" d="{dots[i]}"/>' for kind in ("d i", "d") for i in range(count))  # fmt: skip
    x, y = centers[-1]
    current = "".join(f'<path class="{kind}" d="{_dot((0, 0))}"/>' for kind in ("d e i", "d e"))
    path += f'<g class="{name}-c" transform="translate({x:.1f} {y:.1f})">{current}</g>'
    window = "".join(f'<rect class="{kind} {name}-l" {rect_attributes(windows[-1], size)}/>' for kind in "hl")
    css = [
        stepped_css(timeline, "l", [rect_css(window, size) for window in windows]),
        stepped_css(timeline, "c", [f"transform:translate({x:.1f}px,{y:.1f}px)" for x, y in centers]),
        *(stepped_css(timeline, f"w{i}", [visibility_css(step >= i) for step in range(count)]) for i in range(1, count)),
    ]
    return join_parts([Part(window), Part(_clipped(path, size), "".join(css))])


def static_fixation_path(fixations: Sequence[Box], size: Size) -> str:
    """The window of the last fixation and the path to it, with thin lines and without animation."""
    if not fixations:
        return ""
    centers = _centers(fixations, size)
    line, dot = "".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(centers)), _dot(centers[-1])
    strokes = [("i", 2.2, line), ("w", 0.9, line), ("d i", 5.2, dot), ("d", 3.8, dot)]
    path = "".join(f'<path class="{kind}" style="stroke-width:{width}" d="{d}"/>' for kind, width, d in strokes)
    attributes = rect_attributes(_clipped_windows(fixations[-1:])[0], size)
    window = "".join(f'<rect class="{kind}" style="stroke-width:{width}" {attributes}/>' for kind, width in (("h", 2.6), ("l", 1.2)))
    return window + _clipped(path, size)


def _clipped_windows(fixations: Sequence[Box]) -> list[list[float]]:
    """The parts of windows inside the image; a window completely outside has size 0 and is not drawn."""
    windows: list[list[float]] = boxes.clip_to_image(np.asarray(fixations, np.float64)).tolist()
    return windows


def _centers(fixations: Sequence[Box], size: Size) -> list[tuple[float, float]]:
    return [((x0 + x1) / 2 * size[0], (y0 + y1) / 2 * size[1]) for x0, y0, x1, y1 in fixations]


def _segment(centers: Sequence[tuple[float, float]], i: int) -> str:
    """The path from the previous center to center i."""
    (x0, y0), (x1, y1) = centers[max(i - 1, 0)], centers[i]
    return f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"


def _dot(center: tuple[float, float]) -> str:
    """A path of almost no length: its round ends form a dot as wide as the stroke at every scale."""
    return f"M{center[0]:.1f} {center[1]:.1f}h.01"


def _clipped(svg: str, size: Size) -> str:
    """Elements clipped at the edges of the image."""
    return f'<svg width="{size[0]:g}" height="{size[1]:g}">{svg}</svg>'
