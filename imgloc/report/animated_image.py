"""The image of an animation: parts that have not been read are veiled; the predicted box and the fixations move."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass

from imgloc.report.animation import Part, Timeline, joined, switching, visible
from imgloc.report.gallery import SMALL
from imgloc.report.outlines import fixation_path, outlined, rectangle, still_path
from imgloc.runs.partial_predictions import READ, SavedPartialPredictions
from imgloc.types import Row

PICTURE = 172  # of the longer side
VEIL = 0.82  # opacity over what has not been read


@dataclass(frozen=True)
class Shown:
    """What is drawn: the steps of an example, its row, its picture and the names of the classes."""

    partial: SavedPartialPredictions
    row: Row
    picture: bytes  # PNG
    names: dict[int, str]  # of all classes that are spoken of
    timeline: Timeline

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the picture as it is drawn."""
        width, height = struct.unpack(">II", self.picture[16:24])
        scale = PICTURE / max(width, height)
        return round(width * scale, 2), round(height * scale, 2)


def picture(shown: Shown) -> str:
    """The image itself, embedded once."""
    width, height = shown.size
    small = max(struct.unpack(">II", shown.picture[16:24])) < SMALL
    style = ' style="image-rendering:pixelated"' if small else ""
    data = base64.b64encode(shown.picture).decode()
    where = f'width="{width:g}" height="{height:g}" preserveAspectRatio="none"'
    return f'<image id="{shown.timeline.name}-image" {where}{style} href="data:image/png;base64,{data}"/>'


def veil(shown: Shown) -> Part:
    """What hides what has not been read: a layer for each amount of reading that occurs, in it a path of the cells that lose it together.

    So an image that is read once by rows, once by columns is a layer of rows on one of columns, not cells each with a course of its own.
    """
    partial, parts = shown.partial, []
    for digit, alpha in _layers(partial):
        groups: dict[str, list[int]] = {}
        for cell in range(len(partial.seen[0])):
            groups.setdefault("".join("01"[step[cell] <= digit] for step in partial.seen), []).append(cell)
        paths = []
        for number, (course, cells) in enumerate((course, cells) for course, cells in groups.items() if "1" in course):
            name = f"v{digit}-{number}"
            path = f'<path class="v {shown.timeline.name}-{name}" d="{_cells(partial, cells)}" style="{visible(course[-1] == "1")}"/>'
            paths.append(Part(path, switching(shown.timeline, name, [visible(on == "1") for on in course]) if "0" in course else ""))
        svg, css = joined(paths)
        parts.append(Part(f'<g opacity="{alpha:g}">{svg}</g>', css))  # of all together: where they overlap it shows no seam
    svg, css = joined(parts)
    return Part(_over_picture(shown, svg), css)


def _layers(partial: SavedPartialPredictions) -> list[tuple[str, float]]:
    """Layers of the veil: one lies over what has been read up to a digit. Those that lie over a cell add up to what `_unread` says."""
    found, above = [], 0.0
    for digit in sorted({digit for step in partial.seen for digit in step if _unread(digit)}, reverse=True):
        found.append((digit, round(1 - (1 - _unread(digit)) / (1 - above), 3)))
        above = _unread(digit)
    return found


def _unread(digit: str) -> float:
    return round(VEIL * (1 - int(digit) / READ), 3)


def _over_picture(shown: Shown, svg: str) -> str:
    """Elements in units of the grid, laid over the part of it that the picture shows, and cut at its edges."""
    x0, y0, x1, y1 = shown.partial.content
    columns, rows = shown.partial.x[-1], shown.partial.y[-1]
    part = f"{x0 * columns:g} {y0 * rows:g} {(x1 - x0) * columns:g} {(y1 - y0) * rows:g}"
    width, height = shown.size
    return f'<svg width="{width:g}" height="{height:g}" viewBox="{part}" preserveAspectRatio="none">{svg}</svg>'


def _cells(partial: SavedPartialPredictions, cells: list[int]) -> str:
    """A path of cells of the grid, by number; those beside each other are one rectangle, and so are equal ones below each other."""
    columns = len(partial.x) - 1
    rectangles: dict[tuple[int, int, int], tuple[int, int]] = {}  # first and last column, row after the last -> first row, last one
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


def marks(shown: Shown) -> Part:
    """The true boxes, the predicted box as it moves, and the fixations."""
    size, partial = shown.size, shown.partial
    truth = shown.row.get("boxes", []) if "true" in marked(shown) else []
    return joined([outlined(truth, partial.boxes, size, shown.timeline), fixation_path(partial.fixations, size, shown.timeline)])


def marked(shown: Shown) -> frozenset[str]:
    """The kinds that `marks` outlines, for a legend: true, predicted, fixation. True boxes are drawn only beside predictions of a place."""
    found = {"predicted"} if shown.partial.boxes else set()
    found |= {"fixation"} if shown.partial.fixations else set()
    return frozenset(found | {"true"} if found and shown.row.get("boxes") else found)


def still(shown: Shown, step: int) -> str:
    """The picture as it is at one step, without the true boxes; it refers to the image of `picture`."""
    partial = shown.partial
    digits: dict[str, list[int]] = {}
    for cell, digit in enumerate(partial.seen[step]):
        digits.setdefault(digit, []).append(cell)
    covered = [(digit, cells) for digit, cells in digits.items() if _unread(digit)]
    veils = "".join(f'<path class="v" opacity="{_unread(digit):g}" d="{_cells(partial, cells)}"/>' for digit, cells in covered)
    thin = 'style="stroke-width:1.4;stroke-dasharray:none"'
    box = f'<rect class="p" {thin} {rectangle(partial.boxes[step], shown.size)}/>' if partial.boxes else ""
    path = still_path(partial.fixations[: step + 1], shown.size)
    return f'<use href="#{shown.timeline.name}-image"/>{_over_picture(shown, veils)}{box}{path}'
