"""The metadata of one split in the layout of wsolevaluation, without its images: truth in pixels of a map of 224 x 224.

`imgloc.data.formats.wsol` reads the same files for training, and clips boxes to the image; here they stay as the benchmark has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from imgloc.data.formats.wsol import BOXES, IDS, LABELS, SIZES
from imgloc.errors import UserError, listed, printable
from imgloc.score_maps.levels import SIDE
from imgloc.score_maps.localization import scaled_box
from imgloc.types import IntArray

T = TypeVar("T")


@dataclass(frozen=True)
class Metadata:
    """The images of a split; either all have boxes or all have masks."""

    ids: tuple[str, ...]
    labels: Mapping[str, int]
    boxes: Mapping[str, IntArray]  # [g, 4], xyxy, the last pixel included
    masks: Mapping[str, tuple[tuple[str, ...], str]]  # the names of the masks, and of that of ignored pixels ("" if there is none)


def read_metadata(folder: Path) -> Metadata:
    """Reads the folder of a split. Raises UserError for missing files, lines that cannot be read and images without truth."""
    splits = sorted(path.parent.relative_to(folder).as_posix() for path in folder.glob(f"*/{IDS}"))
    if not (folder / IDS).is_file():
        hint = f"; possible: {listed(splits, 10)}" if splits else ""
        raise UserError(f"no {IDS} in '{printable(str(folder))}'; expected the folder of a split in the layout of wsolevaluation{hint}")
    ids = tuple(line for _, (line,) in _rows(folder / IDS, 1))
    if not ids:
        raise UserError(f"{printable(str(folder / IDS))} lists no image")
    if len(set(ids)) < len(ids):
        raise UserError(f"{printable(str(folder / IDS))} lists an image twice: {listed([i for i in set(ids) if ids.count(i) > 1], 1)}")
    labels = read_classes(folder / LABELS)
    _check_complete(ids, labels, folder / LABELS)
    rows = _rows(folder / BOXES, 3, 5)
    if rows and len(rows[0][1]) == 3:
        masks = _masks(rows)
        _check_complete(ids, masks, folder / BOXES)
        return Metadata(ids, labels, {}, masks)
    boxes = _boxes(rows, _sizes(folder / SIZES))
    _check_complete(ids, boxes, folder / BOXES)
    return Metadata(ids, labels, boxes, {})


def read_classes(path: Path) -> dict[str, int]:
    """Reads the class of each image from a file with lines `id,class number`. Raises UserError for other lines."""
    return dict(_parsed(_rows(path, 2), lambda cells: (cells[0], int(cells[1])), "an id and the number of a class"))


def _check_complete(ids: tuple[str, ...], known: Mapping[str, object], path: Path) -> None:
    missing = [each for each in ids if each not in known]
    if missing:
        raise UserError(f"{printable(str(path))} has no line for {len(missing):,} images of {IDS}: {listed(missing, 3)}")


def _rows(path: Path, *columns: int) -> list[tuple[str, list[str]]]:
    """Returns the place and the cells of each line that is not empty; all must have one of these numbers of cells."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"cannot read '{printable(str(path))}': {why}") from error
    rows = [(f"{printable(str(path))}:{number}", line.split(",")) for number, line in enumerate(lines, start=1) if line.strip()]
    for place, cells in rows:
        if len(cells) not in columns or len(cells) != len(rows[0][1]):
            expected = " or ".join(map(str, columns)) if len(rows[0][1]) not in columns else str(len(rows[0][1]))
            raise UserError(f"{place}: the line has {len(cells)} columns, expected {expected}")
    return rows


def _parsed(rows: list[tuple[str, list[str]]], parse: Callable[[list[str]], T], expected: str) -> list[T]:
    """Returns what `parse` makes of each row. Raises UserError with the place of the first one for which it raises ValueError."""
    found = []
    for place, cells in rows:
        try:
            found.append(parse(cells))
        except ValueError:
            raise UserError(f"{place}: got '{printable(','.join(cells))}', expected {expected}") from None
    return found


def _sizes(path: Path) -> dict[str, tuple[int, int]]:
    """Returns the width and height of each image."""

    def parse(cells: list[str]) -> tuple[str, tuple[int, int]]:
        width, height = int(cells[1]), int(cells[2])
        if min(width, height) < 1:
            raise ValueError
        return cells[0], (width, height)

    return dict(_parsed(_rows(path, 3), parse, "an id, a width and a height in pixels"))


def _boxes(rows: list[tuple[str, list[str]]], sizes: Mapping[str, tuple[int, int]]) -> dict[str, IntArray]:
    """Returns the boxes of each image, scaled to the map."""

    def parse(cells: list[str]) -> tuple[str, list[int]]:
        box = [int(cell) for cell in cells[1:]]
        if min(box) < 0 or box[2] < box[0] or box[3] < box[1]:
            raise ValueError
        return cells[0], box

    found: dict[str, list[list[int]]] = {}
    parsed = _parsed(rows, parse, "an id and x0,y0,x1,y1 in pixels, from 0 and with x0 <= x1, y0 <= y1")
    for (place, _), (image, box) in zip(rows, parsed, strict=True):
        if image not in sizes:
            raise UserError(f"{place}: '{printable(image)}' has no line in {SIZES}")
        found.setdefault(image, []).append(scaled_box(np.array(box), *sizes[image], SIDE))
    return {image: np.array(boxes, np.int64) for image, boxes in found.items()}


def _masks(rows: list[tuple[str, list[str]]]) -> dict[str, tuple[tuple[str, ...], str]]:
    """Returns the masks of each image; only its first line may name a mask of ignored pixels."""
    found: dict[str, tuple[tuple[str, ...], str]] = {}
    for place, (image, mask, ignored) in rows:
        before, of_first = found.get(image, ((), ignored.strip()))
        if before and ignored.strip():
            raise UserError(f"{place}: only the first line of an image may name a mask of ignored pixels")
        found[image] = ((*before, mask.strip()), of_first)
    return found
