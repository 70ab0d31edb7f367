"""The image of an animation: unread parts are masked, the predicted box and the fixations move."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from imgloc.reporting.animation import Part, Timeline, join_parts, stepped_css, visibility_css
from imgloc.reporting.gallery import SMALL
from imgloc.reporting.outlines import box_outlines, fixation_path, object_outlines, rect_attributes, static_fixation_path
from imgloc.runs.partial_predictions import READ, SavedPartialPredictions
from imgloc.types import Row

IMAGE_SIZE = 172  # displayed size of the longer side
MASK_OPACITY = 0.82  # over parts that have not been read


@dataclass(frozen=True)
class AnimatedExample:
    """The partial predictions of one example, its row and its image."""

    partial: SavedPartialPredictions
    row: Row
    png: bytes
    names: Mapping[int, str]  # of the classes in `partial` and `row`
    timeline: Timeline

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height of the image file."""
        width, height = struct.unpack(">II", self.png[16:24])
        return width, height

    @property
    def true_labels(self) -> list[int]:
        """The true class of the image, or those of its objects for a task that detects them."""
        labels = [self.row["label"]] if "label" in self.row else self.row.get("labels", ())
        return [label for label in labels if label >= 0]

    @property
    def is_shown(self) -> list[list[bool]]:
        """Whether each detected object is shown at each step, (s, n)."""
        return [[score > 0 for score in scores] for scores in self.partial.probabilities]

    @property
    def size(self) -> tuple[float, float]:
        """Displayed width and height of the image."""
        scale = IMAGE_SIZE / max(self.pixels)
        return round(self.pixels[0] * scale, 2), round(self.pixels[1] * scale, 2)


def image_element(example: AnimatedExample) -> str:
    """An `<image>` element that contains the image file."""
    width, height = example.size
    style = ' style="image-rendering:pixelated"' if max(example.pixels) < SMALL else ""
    data = base64.b64encode(example.png).decode()
    attributes = f'width="{width:g}" height="{height:g}" preserveAspectRatio="none"'
    return f'<image id="{example.timeline.name}-image" {attributes}{style} href="data:image/png;base64,{data}"/>'


def unread_mask(example: AnimatedExample) -> Part:
    """The mask over unread parts: a layer for each amount of reading, with one path for all cells that change at the same steps.

    An image that is read once by rows and once by columns then has one layer of rows and one of columns.
    """
    partial, layers = example.partial, []
    for digit, opacity in _layers(partial):
        groups: dict[str, list[int]] = {}  # at each step 1 (masked) or 0 -> the cells
        for cell in range(len(partial.seen[0])):
            groups.setdefault("".join("01"[digits[cell] <= digit] for digits in partial.seen), []).append(cell)
        paths = []
        for number, (states, cells) in enumerate((states, cells) for states, cells in groups.items() if "1" in states):
            name, steps = f"v{digit}-{number}", [visibility_css(state == "1") for state in states]
            path = f'<path class="v {example.timeline.name}-{name}" d="{_cells_path(partial, cells)}" style="{steps[-1]}"/>'
            paths.append(Part(path, stepped_css(example.timeline, name, steps) if "0" in states else ""))
        svg, css = join_parts(paths)
        layers.append(Part(f'<g opacity="{opacity:g}">{svg}</g>', css))  # opacity of the group: overlapping paths show no seams
    svg, css = join_parts(layers)
    return Part(_over_image(example, svg), css)


def _layers(partial: SavedPartialPredictions) -> list[tuple[str, float]]:
    """(digit, opacity) of each layer, which covers cells read up to that digit. Layers on top of each other add up to `_opacity`."""
    layers, above = [], 0.0
    for digit in sorted({digit for digits in partial.seen for digit in digits if _opacity(digit)}, reverse=True):
        layers.append((digit, round(1 - (1 - _opacity(digit)) / (1 - above), 3)))
        above = _opacity(digit)
    return layers


def _opacity(digit: str) -> float:
    return round(MASK_OPACITY * (1 - int(digit) / READ), 3)


def _over_image(example: AnimatedExample, svg: str) -> str:
    """Elements in units of the grid, moved to the part of the grid that the image fills and clipped there."""
    x0, y0, x1, y1 = example.partial.content
    columns, rows = example.partial.x[-1], example.partial.y[-1]
    view = f"{x0 * columns:g} {y0 * rows:g} {(x1 - x0) * columns:g} {(y1 - y0) * rows:g}"
    width, height = example.size
    return f'<svg width="{width:g}" height="{height:g}" viewBox="{view}" preserveAspectRatio="none">{svg}</svg>'


def _cells_path(partial: SavedPartialPredictions, cells: list[int]) -> str:
    """The path of grid cells, given by index in ascending order. Adjacent cells of a row, and equal ones of adjacent rows, are merged."""
    columns = len(partial.x) - 1
    rectangles: dict[tuple[int, int, int], tuple[int, int]] = {}  # (left, right, next row) -> (top, bottom), edges included
    i = 0
    while i < len(cells):
        j = i
        while j + 1 < len(cells) and cells[j + 1] == cells[j] + 1 and cells[j + 1] % columns:
            j += 1
        left, right, row = cells[i] % columns, cells[j] % columns, cells[i] // columns
        top, _ = rectangles.pop((left, right, row), (row, row))
        rectangles[left, right, row + 1] = top, row
        i = j + 1
    x, y = partial.x, partial.y
    return "".join(
        f"M{x[left]} {y[top]}H{x[right + 1]}V{y[bottom + 1]}H{x[left]}z" for (left, right, _), (top, bottom) in rectangles.items()
    )


def outlines(example: AnimatedExample) -> Part:
    """The true boxes, the moving predicted box or the detected objects, and the fixations."""
    size, partial, timeline = example.size, example.partial, example.timeline
    true_boxes = example.row.get("boxes", []) if "true" in outline_kinds(example) else []
    return join_parts([
        box_outlines(true_boxes, partial.boxes, size, timeline), object_outlines(partial.objects, example.is_shown, size, timeline),
        fixation_path(partial.fixations, size, timeline),
    ])  # fmt: skip


def outline_kinds(example: AnimatedExample) -> frozenset[str]:
    """The kinds of outlines for the legend: true, predicted, fixation. True boxes are drawn only if the model predicts positions."""
    partial = example.partial
    kinds = {kind for kind, values in (("predicted", [*partial.boxes, *partial.objects]), ("fixation", partial.fixations)) if values}
    return frozenset(kinds | {"true"} if kinds and example.row.get("boxes") else kinds)


def static_frame(example: AnimatedExample, step: int) -> str:
    """The image at one step without the true boxes; it refers to the element of `image_element`."""
    partial = example.partial
    groups: dict[str, list[int]] = {}
    for cell, digit in enumerate(partial.seen[step]):
        groups.setdefault(digit, []).append(cell)
    masked = [(_opacity(digit), cells) for digit, cells in groups.items() if _opacity(digit)]
    mask = "".join(f'<path class="v" opacity="{opacity:g}" d="{_cells_path(partial, cells)}"/>' for opacity, cells in masked)
    style = 'style="stroke-width:1.4;stroke-dasharray:none"'
    objects = [box for box, is_shown in zip(partial.objects, example.is_shown[step], strict=False) if is_shown]  # boxes of detected objects
    drawn = [*partial.boxes[step : step + 1], *objects]
    box = "".join(f'<rect class="p" {style} {rect_attributes(each, example.size)}/>' for each in drawn)
    path = static_fixation_path(partial.fixations[: step + 1], example.size)
    return f'<use href="#{example.timeline.name}-image"/>{_over_image(example, mask)}{box}{path}'
