"""What is wrong with boxes: each by itself, and whether a whole data set's numbers are what its format takes them for.

One box that is upside down is a slip. That numbers mean something else (width and height, say) is only concluded where many boxes
make no sense as they are read, and nearly all of them do as something else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from imgloc import boxes as box_arithmetic
from imgloc.data.annotated.annotations import Annotated, Annotation, Fault
from imgloc.data.annotated.listing import Listing
from imgloc.types import BoolArray, FloatArray, IntArray

FORGIVEN = (0.01, 1e-5)  # pixels, and shares of a side: numbers are written with so many digits
AT_EDGE = (1.001, 0.005)  # beyond the image by no more than this: a rounding error
FEWEST, SHARE, NEARLY_ALL = 3, 0.25, 0.95  # boxes without sense, how many of all, and how many have some as something else
READINGS = {"corners": "", "xywh": "x, y, width, height", "middle": "middle x, middle y, width, height"}
OWN_READING = {"coco": "xywh", "yolo": "middle"}  # of formats; all others: corners
KIND_OF = {"corners": "corner_box", "xywh": "xywh_box", "middle": "middle_box"}
_PLACE = re.compile(r"(:\d+| \w+\[\d+\])$")  # in a file


@dataclass(frozen=True)
class Flat:
    """All boxes of a data set, one after another."""

    boxes_mx4: FloatArray  # as they were read: pixels, or shares where `relative_m`
    image_m: IntArray  # index of the annotation
    number_m: IntArray  # in it, from 1
    limit_mx2: FloatArray  # width and height in the boxes' unit; NaN: not known
    relative_m: BoolArray

    def within(self, margins: tuple[float, float], boxes_mx4: FloatArray | None = None) -> BoolArray:
        """Which boxes (m,) lie inside their image but for a margin in pixels, or in shares; all, where its size is not known."""
        boxes_mx4 = self.boxes_mx4 if boxes_mx4 is None else boxes_mx4
        margin = np.where(self.relative_m, margins[1], margins[0])[:, None]
        beyond = (boxes_mx4 < -margin).any(axis=1) | (boxes_mx4 > np.tile(self.limit_mx2, 2) + margin).any(axis=1)
        return np.asarray(~beyond, np.bool_)

    def take(self, chosen: BoolArray) -> Flat:
        """Some of the boxes."""
        return Flat(
            self.boxes_mx4[chosen], self.image_m[chosen], self.number_m[chosen], self.limit_mx2[chosen], self.relative_m[chosen]
        )  # fmt: skip


def faults(annotated: Annotated, sizes: Sequence[tuple[int, int]], listing: Listing, convention: str) -> list[Fault]:
    """The faults of all boxes. `sizes`: width and height that each image's pixels are of, (0, 0) where that is not known."""
    entries = annotated.images
    flat = _flat(entries, sizes)
    if not len(flat.image_m):
        return []
    found: list[Fault] = []
    other_unit = _normalised(flat) | _pixels(flat)
    for kind, mask in (("normalised_box", _normalised(flat)), ("pixel_box", _pixels(flat))):
        found += _per_image(kind, entries, flat.take(mask), "it is not in pixels" if kind == "normalised_box" else "it is not in [0, 1]")
    misread = np.zeros(len(flat.image_m), np.bool_)
    for group in _groups(entries, flat):
        reading = _other_reading(flat.take(group & ~other_unit), OWN_READING.get(annotated.format, "corners"))
        if reading:
            misread |= group & ~other_unit
            meant = READINGS[reading] or "x0, y0, x1, y1"
            found += _per_image(KIND_OF[reading], entries, flat.take(group & ~other_unit), f"all boxes fit their images as {meant}")
    shifted = _shifted(flat, entries, listing, annotated.format, convention) & ~(misread | other_unit)[:, None]
    for kind, column in (("zero_based_box", 0), ("one_based_box", 1)):
        what = "a pixel is counted 0" if column == 0 else "a pixel is counted as many as the image has"
        found += _per_image(kind, entries, flat.take(shifted[:, column]), what)
    found += _one_by_one(entries, flat.take(~misread & ~other_unit & ~shifted.any(axis=1)), annotated.format)
    return found + list(_duplicates(entries))


def _flat(entries: Sequence[Annotation], sizes: Sequence[tuple[int, int]]) -> Flat:
    counts = [len(entry.boxes_nx4) for entry in entries]
    image_m = np.repeat(np.arange(len(entries)), counts)
    relative_n = np.array([entry.relative for entry in entries], np.bool_)
    limits = np.array(sizes, np.float64).reshape(-1, 2)
    limits[(limits <= 0).any(axis=1)] = np.nan
    limits[relative_n] = 1.0
    return Flat(
        boxes_mx4=np.concatenate([np.zeros((0, 4)), *(entry.boxes_nx4 for entry in entries)]),
        image_m=image_m,
        number_m=np.concatenate([np.zeros(0, np.int64), *(np.arange(1, count + 1) for count in counts)]),
        limit_mx2=limits[image_m],
        relative_m=relative_n[image_m],
    )


def _normalised(flat: Flat) -> BoolArray:
    """Boxes in pixels whose numbers are fractions up to 1: whatever the convention, it moves an edge by 0 or 1."""
    boxes = flat.boxes_mx4
    fractions = (boxes != np.rint(boxes)).any(axis=1)
    small = (np.abs(boxes[:, :2]) <= 1).all(axis=1) & (np.abs(boxes[:, 2:]) <= 2).all(axis=1)
    # From xyxy the far edges are up to 1 (2 where the last pixel is counted), from xywh up to 2.
    found: BoolArray = ~flat.relative_m & small & fractions & ~(flat.limit_mx2 < 8).any(axis=1)
    return found | (~flat.relative_m & small) if np.mean(found) > 0.5 else found  # then whole images, (0, 0, 1, 1), are such too


def _pixels(flat: Flat) -> BoolArray:
    """Boxes in [0, 1] with numbers that no rounding or carelessness makes of such."""
    found: BoolArray = flat.relative_m & (np.abs(flat.boxes_mx4) > 2).any(axis=1)
    return found


def _groups(entries: Sequence[Annotation], flat: Flat) -> Iterator[BoolArray]:
    """Boxes that somebody wrote in one go: those of a table, or of a JSON file; else all."""
    files = [_PLACE.sub("", entry.where) for entry in entries]
    counts = Counter(files)
    keys = np.array([file if counts[file] > 1 else "" for file in files])[flat.image_m]
    for key in np.unique(keys):
        yield keys == key


def _other_reading(flat: Flat, own: str) -> str:
    """The reading under which nearly all boxes fit their images, where many do not as they are read; "" for none."""
    senseless = int(((flat.boxes_mx4[:, 2:] < flat.boxes_mx4[:, :2]).any(axis=1) | ~flat.within(AT_EDGE)).sum())
    known, total = int((~np.isnan(flat.limit_mx2).any(axis=1)).sum()), len(flat.boxes_mx4)
    if senseless < max(FEWEST, SHARE * total) or known < NEARLY_ALL * total:
        return ""
    numbers = {"corners": lambda b: b, "xywh": box_arithmetic.to_coco_xywh, "middle": box_arithmetic.to_yolo_cxcywh}[own](flat.boxes_mx4)
    if own == "corners" and (flat.boxes_mx4[:, 2:] < flat.boxes_mx4[:, :2]).all():
        return ""  # the corners are swapped
    for reading, convert in (("corners", None), ("xywh", box_arithmetic.from_coco_xywh), ("middle", box_arithmetic.from_yolo_cxcywh)):
        boxes = numbers if convert is None else convert(numbers)
        if reading != own and np.mean((boxes[:, 2:] > boxes[:, :2]).all(axis=1) & flat.within(AT_EDGE, boxes)) >= NEARLY_ALL:
            return reading
    return ""


def _shifted(flat: Flat, entries: Sequence[Annotation], listing: Listing, form: str, convention: str) -> BoolArray:
    """Whether a box (m, 2) has a pixel 0 where they are read as counted from 1, or one too many where as counted from 0."""
    found = np.zeros((len(flat.image_m), 2), np.bool_)
    if convention == "inclusive_from_0":
        found[:, 1] = (flat.boxes_mx4[:, 2:] == flat.limit_mx2 + 1).any(axis=1)
    elif convention in ("", "inclusive_from_1") and (convention or form == "voc"):
        for index in np.flatnonzero((flat.boxes_mx4[:, :2] == -1).any(axis=1) & ~flat.relative_m):
            found[index, 0] = bool(convention) or _writes_zero(listing, entries[flat.image_m[index]].where)
    return found


def _writes_zero(listing: Listing, name: str) -> bool:
    """Whether an XML file has a near edge of 0: -1 may also be what it says."""
    try:
        return name in listing.files and bool(re.search(r"<[xy]min>\s*0*\.?0+\s*<", listing.read_text(name)))
    except ValueError:
        return False


def _one_by_one(entries: Sequence[Annotation], flat: Flat, form: str) -> Iterator[Fault]:
    """Boxes that are inverted, empty or outside, each a fault."""
    sides = flat.boxes_mx4[:, 2:] - flat.boxes_mx4[:, :2]
    inverted: BoolArray = np.any(sides < 0, axis=1)
    empty: BoolArray = np.any(sides == 0, axis=1)
    inside, near = flat.within(FORGIVEN), flat.within(AT_EDGE)
    for index in np.flatnonzero(np.asarray(inverted | empty | ~inside)).tolist():
        entry, box, limit = entries[flat.image_m[index]], flat.boxes_mx4[index], flat.limit_mx2[index]
        where = entry.where or entry.file
        named = f"{_object(entry, int(flat.number_m[index]))}: box {_told(box)}"
        if inverted[index]:
            fits = form not in OWN_READING and (box[:2] + box[2:] <= limit + 1).all() and (box >= 0).all()
            hint = "; as x, y, width, height it would fit" if fits else ""
            yield Fault("inverted_box", where, f"{named} ends before it begins{hint}")
        elif empty[index]:
            yield Fault("empty_box", where, f"{named} has no width" if sides[index, 0] == 0 else f"{named} has no height")
        if not inside[index] and not (inverted[index] and fits):
            size = "the image" if np.isnan(limit).any() else "[0, 1]" if flat.relative_m[index] else f"{limit[0]:.0f} x {limit[1]:.0f}"
            gone = (box[2:] <= 0).any() or (box[:2] >= limit).any()
            kind = "edge_box" if near[index] and not gone else "outside_box"
            yield Fault(kind, where, f"{named} {'lies' if gone else 'reaches'} outside {size}")


def _duplicates(entries: Sequence[Annotation]) -> Iterator[Fault]:
    for entry in entries:
        if len(entry.boxes_nx4) < 2:
            continue
        seen: dict[tuple[str, bytes], int] = {}
        for number, (name, box) in enumerate(zip(entry.names, entry.boxes_nx4, strict=True), start=1):
            first = seen.setdefault((name, np.asarray(box, np.float64).tobytes()), number)
            if first != number:
                yield Fault("duplicate_box", entry.where or entry.file, f"{_object(entry, number)} is the same as object {first}")


def _per_image(kind: str, entries: Sequence[Annotation], flat: Flat, what: str) -> Iterator[Fault]:
    """A fault for each image that has such boxes."""
    for index, place, count in zip(*np.unique(flat.image_m, return_index=True, return_counts=True), strict=True):
        entry = entries[index]
        more = f" and {count - 1} more" if count > 1 else ""
        first = f"{_object(entry, int(flat.number_m[place]))}: box {_told(flat.boxes_mx4[place])}{more}"
        yield Fault(kind, entry.where or entry.file, f"{first}: {what}")


def _object(entry: Annotation, number: int) -> str:
    name = entry.names[number - 1]
    return f"object {number}{f' ({name})' if name else ''} of '{entry.file}'"


def _told(box: FloatArray) -> str:
    return "(" + ", ".join(f"{edge:.6g}" for edge in box) + ")"
