"""Faults of boxes: of single boxes, and of whole data sets whose numbers have another meaning than their format defines.

A single inverted box is a slip. Another meaning of the numbers (such as width and height) is reported only if many boxes are invalid
as they are read and nearly all of them are valid with the other meaning.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from imgloc import boxes as box_arithmetic
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import Listing
from imgloc.types import BoolArray, FloatArray, IntArray

TOLERANCE = (0.01, 1e-5)  # in pixels, and in shares of a side: the precision with which numbers are written
EDGE_TOLERANCE = (1.001, 0.005)  # a box beyond the image by no more than this is a rounding error
MIN_INVALID, MIN_INVALID_SHARE, MIN_VALID_SHARE = 3, 0.25, 0.95  # for another meaning: boxes invalid as read, and valid otherwise
MEANINGS = {"corners": "x0, y0, x1, y1", "xywh": "x, y, width, height", "center": "center x, center y, width, height"}
MEANING_KIND = {"corners": "corner_box", "xywh": "xywh_box", "center": "middle_box"}
_LOCATION = re.compile(r"(:\d+| \w+\[\d+\])$")  # in a file


@dataclass(frozen=True)
class BoxTable:
    """All boxes of a data set in one array."""

    boxes_mx4: FloatArray  # as read: in pixels, or in shares where `relative_m`
    image_m: IntArray  # the index of the box's annotation
    number_m: IntArray  # the number of the box in its annotation, from 1
    limit_mx2: FloatArray  # width and height of the image in the box's unit; NaN: unknown
    relative_m: BoolArray

    def inside(self, tolerance: tuple[float, float], boxes_mx4: FloatArray | None = None) -> BoolArray:
        """Returns which boxes (m,) are inside their image, up to a tolerance in pixels or shares; True for unknown sizes."""
        boxes_mx4 = self.boxes_mx4 if boxes_mx4 is None else boxes_mx4
        margin = np.where(self.relative_m, tolerance[1], tolerance[0])[:, None]
        outside = (boxes_mx4 < -margin).any(axis=1) | (boxes_mx4 > np.tile(self.limit_mx2, 2) + margin).any(axis=1)
        return np.asarray(~outside, np.bool_)

    def inverted(self) -> BoolArray:
        """Returns which boxes (m,) have a right or lower edge before the opposite one."""
        return np.asarray((self.boxes_mx4[:, 2:] < self.boxes_mx4[:, :2]).any(axis=1), np.bool_)

    def select(self, mask_m: BoolArray) -> BoxTable:
        """Returns the boxes of a mask."""
        return BoxTable(
            self.boxes_mx4[mask_m], self.image_m[mask_m], self.number_m[mask_m], self.limit_mx2[mask_m], self.relative_m[mask_m]
        )  # fmt: skip


def find_faults(annotated: AnnotatedFolder, sizes: Sequence[tuple[int, int]], listing: Listing, convention: str) -> list[Fault]:
    """Returns the faults of all boxes. `sizes`: (width, height) that each annotation's pixels refer to, (0, 0) if unknown."""
    entries = annotated.images
    table = _box_table(entries, sizes)
    if not len(table.image_m):
        return []
    normalized = _looks_normalized(table)
    pixels: BoolArray = table.relative_m & (np.abs(table.boxes_mx4) > 2).any(axis=1)  # too large for slips and rounding errors
    other_unit = normalized | pixels
    faults = [
        *_faults_by_image("normalised_box", entries, table.select(normalized), "it is not in pixels"),
        *_faults_by_image("pixel_box", entries, table.select(pixels), "it is not in [0, 1]"),
    ]
    misread = np.zeros(len(table.image_m), np.bool_)
    for group in _files_of_boxes(entries, table):
        boxes = table.select(group & ~other_unit)
        meaning = _other_meaning(boxes, annotated.meaning)
        if meaning:
            misread |= group & ~other_unit
            faults += _faults_by_image(MEANING_KIND[meaning], entries, boxes, f"all boxes fit their images as {MEANINGS[meaning]}")
    shifted = _is_shifted(table, entries, listing, annotated.format, convention) & ~(misread | other_unit)[:, None]
    faults += _faults_by_image("zero_based_box", entries, table.select(shifted[:, 0]), "it has a pixel with the number 0")
    what = "the number of a pixel equals the image's size"
    faults += _faults_by_image("one_based_box", entries, table.select(shifted[:, 1]), what)
    faults += _single_faults(entries, table.select(~misread & ~other_unit & ~shifted.any(axis=1)), annotated.meaning)
    return [*faults, *_duplicates(entries)]


def _box_table(entries: Sequence[Annotation], sizes: Sequence[tuple[int, int]]) -> BoxTable:
    counts = [len(entry.boxes_nx4) for entry in entries]
    image_m = np.repeat(np.arange(len(entries)), counts)
    relative_n = np.array([entry.relative for entry in entries], np.bool_)
    limits = np.array(sizes, np.float64).reshape(-1, 2)
    limits[(limits <= 0).any(axis=1)] = np.nan
    limits[relative_n] = 1.0
    return BoxTable(
        boxes_mx4=np.concatenate([np.zeros((0, 4)), *(entry.boxes_nx4 for entry in entries)]),
        image_m=image_m,
        number_m=np.concatenate([np.zeros(0, np.int64), *(np.arange(1, count + 1) for count in counts)]),
        limit_mx2=limits[image_m],
        relative_m=relative_n[image_m],
    )


def _looks_normalized(table: BoxTable) -> BoolArray:
    """Returns which pixel boxes have fractions up to 1 as numbers. A convention moves an edge by at most 1."""
    boxes = table.boxes_mx4
    fractions = (boxes != np.rint(boxes)).any(axis=1)
    small = (np.abs(boxes[:, :2]) <= 1).all(axis=1) & (np.abs(boxes[:, 2:]) <= 2).all(axis=1)
    # From xyxy the far edges are up to 1 (2 if the last pixel is included), from xywh up to 2.
    normalized: BoolArray = ~table.relative_m & small & fractions & ~(table.limit_mx2 < 8).any(axis=1)
    # If most boxes are normalized, so are boxes of whole images, (0, 0, 1, 1).
    return normalized | (~table.relative_m & small) if np.mean(normalized) > 0.5 else normalized


def _files_of_boxes(entries: Sequence[Annotation], table: BoxTable) -> Iterator[BoolArray]:
    """Yields a mask (m,) of the boxes of each file with several annotations, and one of all other boxes."""
    files = [_LOCATION.sub("", entry.where) for entry in entries]
    counts = Counter(files)
    keys = np.array([file if counts[file] > 1 else "" for file in files])[table.image_m]
    for key in np.unique(keys):
        yield keys == key


def _other_meaning(table: BoxTable, expected: str) -> str:
    """Returns the meaning with which nearly all boxes fit their images, if many do not with the expected one; else ""."""
    invalid = int((table.inverted() | ~table.inside(EDGE_TOLERANCE)).sum())
    known, total = int((~np.isnan(table.limit_mx2).any(axis=1)).sum()), len(table.boxes_mx4)
    if invalid < max(MIN_INVALID, MIN_INVALID_SHARE * total) or known < MIN_VALID_SHARE * total:
        return ""
    to_numbers = {"corners": lambda b: b, "xywh": box_arithmetic.to_coco_xywh, "center": box_arithmetic.to_yolo_cxcywh}
    from_numbers = {"corners": lambda b: b, "xywh": box_arithmetic.from_coco_xywh, "center": box_arithmetic.from_yolo_cxcywh}
    numbers = to_numbers[expected](table.boxes_mx4)
    if expected == "corners" and (table.boxes_mx4[:, 2:] < table.boxes_mx4[:, :2]).all():
        return ""  # the corners are swapped
    for meaning, convert in from_numbers.items():
        boxes = convert(numbers)
        valid = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & table.inside(EDGE_TOLERANCE, boxes)
        if meaning != expected and np.mean(valid) >= MIN_VALID_SHARE:
            return meaning
    return ""


def _is_shifted(table: BoxTable, entries: Sequence[Annotation], listing: Listing, form: str, convention: str) -> BoolArray:
    """Returns (m, 2): whether a box read as counted from 1 has a pixel 0, and whether one read as from 0 has one too many."""
    shifted = np.zeros((len(table.image_m), 2), np.bool_)
    if convention == "inclusive_from_0":
        shifted[:, 1] = (table.boxes_mx4[:, 2:] == table.limit_mx2 + 1).any(axis=1)
    elif convention in ("", "inclusive_from_1") and (convention or form == "voc"):
        for index in np.flatnonzero((table.boxes_mx4[:, :2] == -1).any(axis=1) & ~table.relative_m):
            shifted[index, 0] = bool(convention) or _has_zero_edge(listing, entries[table.image_m[index]].where)
    return shifted


def _has_zero_edge(listing: Listing, name: str) -> bool:
    """Returns whether an XML file has a left or upper edge of 0; an edge of -1 may also be written as -1."""
    try:
        return name in listing.files and bool(re.search(r"<[xy]min>\s*0*\.?0+\s*<", listing.read_text(name)[0]))
    except ValueError:
        return False


def _single_faults(entries: Sequence[Annotation], table: BoxTable, meaning: str) -> Iterator[Fault]:
    """Yields a fault for each box that is inverted, empty or outside its image."""
    inverted = table.inverted()
    sides = table.boxes_mx4[:, 2:] - table.boxes_mx4[:, :2]
    empty: BoolArray = np.any(sides == 0, axis=1)
    inside, nearly_inside = table.inside(TOLERANCE), table.inside(EDGE_TOLERANCE)
    for index in np.flatnonzero(np.asarray(inverted | empty | ~inside)).tolist():
        entry, box, limit = entries[table.image_m[index]], table.boxes_mx4[index], table.limit_mx2[index]
        where = entry.where or entry.file
        name = f"{_object_name(entry, int(table.number_m[index]))}: box {format_box(box)}"
        fits = inverted[index] and meaning == "corners" and (box[:2] + box[2:] <= limit + 1).all() and (box >= 0).all()
        if inverted[index]:
            yield Fault("inverted_box", where, f"{name} is inverted{'; as x, y, width, height it would fit' if fits else ''}")
        elif empty[index]:
            yield Fault("empty_box", where, f"{name} has no {'width' if sides[index, 0] == 0 else 'height'}")
        if not inside[index] and not fits:
            size = "the image" if np.isnan(limit).any() else "[0, 1]" if table.relative_m[index] else f"{limit[0]:.0f} x {limit[1]:.0f}"
            disjoint = (box[2:] <= 0).any() or (box[:2] >= limit).any()
            kind = "edge_box" if nearly_inside[index] and not disjoint else "outside_box"
            yield Fault(kind, where, f"{name} {'is' if disjoint else 'reaches'} outside {size}")


def _duplicates(entries: Sequence[Annotation]) -> Iterator[Fault]:
    for entry in entries:
        if len(entry.boxes_nx4) < 2:
            continue
        seen: dict[tuple[str, bytes], int] = {}
        for number, (name, box) in enumerate(zip(entry.names, entry.boxes_nx4, strict=True), start=1):
            first = seen.setdefault((name, np.asarray(box, np.float64).tobytes()), number)
            if first != number:
                yield Fault("duplicate_box", entry.where or entry.file, f"{_object_name(entry, number)} is the same as object {first}")


def _faults_by_image(kind: str, entries: Sequence[Annotation], table: BoxTable, what: str) -> Iterator[Fault]:
    """Yields one fault for each image with boxes in the table."""
    for index, first, count in zip(*np.unique(table.image_m, return_index=True, return_counts=True), strict=True):
        entry = entries[index]
        more = f" and {count - 1} more" if count > 1 else ""
        box = f"{_object_name(entry, int(table.number_m[first]))}: box {format_box(table.boxes_mx4[first])}{more}"
        yield Fault(kind, entry.where or entry.file, f"{box}: {what}")


def _object_name(entry: Annotation, number: int) -> str:
    name = entry.names[number - 1]
    return f"object {number}{f' ({name})' if name else ''} of '{entry.file}'"


def format_box(box: FloatArray) -> str:
    """Returns a box (4,) as text."""
    return "(" + ", ".join(f"{edge:.6g}" for edge in box) + ")"
