"""Outlines on an image: boxes, and for a model with attention the window of each fixation and the path between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgloc import boxes
from imgloc.report.animation import Part, Timeline, joined, moving, switching, visible

Size = tuple[float, float]  # width and height of the picture as it is drawn
#: Colours that are seen on any picture, light or dark, by every eye, each over a dark halo; lines keep their width at any size.
STYLE = (
    "{n} .h,{n} .i{{stroke:#000;stroke-opacity:.55}}{n} .h{{stroke-width:4}}"
    "{n} .h,{n} .i,{n} .t,{n} .p,{n} .l,{n} .w,{n} .d{{fill:none;vector-effect:non-scaling-stroke}}"
    "{n} .t{{stroke:#10c08f;stroke-width:1.5}}{n} .p{{stroke:#f06a00;stroke-width:2;stroke-dasharray:6 3}}"
)
#: Of windows and the path of fixations.
FIXATIONS = (
    "{n} .i{{stroke-width:3.2;stroke-linecap:round}}{n} .l{{stroke:#ffdf3a;stroke-width:2}}{n} .w{{stroke:#ffdf3a;stroke-width:1.2}}"
    "{n} .d{{stroke:#ffdf3a;stroke-width:4;stroke-linecap:round}}{n} .d.i{{stroke:#000;stroke-width:6}}{n} .e{{stroke-width:7.5}}"
    "{n} .e.i{{stroke-width:10}}"
)


def style(name: str, *, fixations: bool) -> str:
    """CSS of everything outlined in the elements of a class."""
    return (STYLE + FIXATIONS * fixations).format(n=f".{name}")


def rectangle(box: Sequence[float], size: Size) -> str:
    """Attributes of a `<rect>` for a box in [0, 1] of the picture."""
    x, y, width, height = _sides(box, size)
    return f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'


def placed(box: Sequence[float], size: Size) -> str:
    """CSS of a rectangle's sides. Not a transform: Chromium smears the stroke of what that stretches much more one way than the other."""
    x, y, width, height = _sides(box, size)
    return f"x:{x:.1f}px;y:{y:.1f}px;width:{width:.1f}px;height:{height:.1f}px"


def _sides(box: Sequence[float], size: Size) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    return x0 * size[0], y0 * size[1], (x1 - x0) * size[0], (y1 - y0) * size[1]


def outlined(truth: Sequence[Sequence[float]], found: Sequence[Sequence[float]], size: Size, timeline: Timeline) -> Part:
    """The true boxes, and the predicted one as it moves, where there is one at each step."""
    drawn = [rectangle(box, size) for box in truth]
    true = "".join(f'<rect class="h" {box}/><rect class="t" {box}/>' for box in drawn)
    if not found:
        return Part(true)
    predicted = "".join(f'<rect class="{kind} {timeline.name}-b" {rectangle(found[-1], size)}/>' for kind in "hp")
    return Part(true + predicted, moving(timeline, "b", [placed(box, size) for box in found]))


def fixation_path(fixations: Sequence[Sequence[float]], size: Size, timeline: Timeline) -> Part:
    """The window of each fixation, its center and the path to it. They jump: the model sees nothing between two fixations."""
    if not fixations:
        return Part("")
    windows, centers = _inside(fixations), _centers(fixations, size)
    count, name = len(fixations), timeline.name
    # A line and the place at its end appear together, each over a halo that must not hide the line before.
    lines, places = [_line(centers, i) for i in range(count)], [_dot(centers[i]) for i in range(count)]
    path = "".join(
        f'<path class="{kind} {name}-w{i}" d="{lines[i]}"/>' for kind in ("i", "w") for i in range(1, count)
    ) + "".join(f'<path class="{kind} {name}-w{i}" d="{places[i]}"/>' for kind in ("d i", "d") for i in range(count))  # fmt: skip
    x, y = centers[-1]
    here = "".join(f'<path class="{kind}" d="{_dot((0, 0))}"/>' for kind in ("d e i", "d e"))
    path += f'<g class="{name}-c" transform="translate({x:.1f} {y:.1f})">{here}</g>'
    window = "".join(f'<rect class="{kind} {name}-l" {rectangle(windows[-1], size)}/>' for kind in "hl")
    moves = [
        switching(timeline, "l", [placed(window, size) for window in windows]),
        switching(timeline, "c", [f"transform:translate({x:.1f}px,{y:.1f}px)" for x, y in centers]),
        *(switching(timeline, f"w{i}", [visible(step >= i) for step in range(count)]) for i in range(1, count)),
    ]
    return joined([Part(window), Part(_cut(path, size), "".join(moves))])


def still_path(fixations: Sequence[Sequence[float]], size: Size) -> str:
    """The window of the last fixation and the path to it, small and not animated."""
    if not fixations:
        return ""
    centers = _centers(fixations, size)
    line = "".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(centers))
    drawn = [("i", 2.2, line), ("w", 0.9, line), ("d i", 5.2, _dot(centers[-1])), ("d", 3.8, _dot(centers[-1]))]
    path = "".join(f'<path class="{kind}" style="stroke-width:{width}" d="{way}"/>' for kind, width, way in drawn)
    last = rectangle(_inside(fixations[-1:])[0], size)
    window = "".join(f'<rect class="{kind}" style="stroke-width:{width}" {last}/>' for kind, width in (("h", 2.6), ("l", 1.2)))
    return window + _cut(path, size)


def _inside(fixations: Sequence[Sequence[float]]) -> list[list[float]]:
    """The parts of windows that lie in the picture; a window wholly beyond it has no sides, and is not drawn."""
    windows: list[list[float]] = boxes.clip_to_image(np.asarray(fixations, np.float64)).tolist()
    return windows


def _centers(fixations: Sequence[Sequence[float]], size: Size) -> list[tuple[float, float]]:
    return [((x0 + x1) / 2 * size[0], (y0 + y1) / 2 * size[1]) for x0, y0, x1, y1 in fixations]


def _line(centers: Sequence[tuple[float, float]], i: int) -> str:
    """The way from the centre before to the i-th."""
    (x0, y0), (x1, y1) = centers[max(i - 1, 0)], centers[i]
    return f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"


def _dot(center: tuple[float, float]) -> str:
    """A line of no length, whose round ends are a dot of its width at any size."""
    return f"M{center[0]:.1f} {center[1]:.1f}h.01"


def _cut(svg: str, size: Size) -> str:
    """Elements cut at the picture's edges."""
    return f'<svg width="{size[0]:g}" height="{size[1]:g}">{svg}</svg>'
