"""What all formats share when they turn what files say into annotations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from imgloc import boxes
from imgloc.data.annotated.annotations import Annotated, Annotation, Fault
from imgloc.data.annotated.listing import inside
from imgloc.errors import UserError, chosen
from imgloc.types import FloatArray

Convert = Callable[[FloatArray], FloatArray]


LARGEST_NUMBER = 1e9  # a coordinate beyond it is none
_PRECEDENCE = {"test": 0, "validation": 1, "train": 2, "": 3}


def _edges(boxes_nx4: FloatArray) -> FloatArray:
    return boxes_nx4


#: What pixel numbers may mean, by name: how they become continuous edges, and how those become them.
CONVENTIONS: Mapping[str, tuple[Convert, Convert]] = {
    "inclusive_from_1": (boxes.from_voc_inclusive, boxes.to_voc_inclusive),
    "inclusive_from_0": (boxes.from_inclusive, boxes.to_inclusive),
    "edges": (_edges, _edges),
}


def from_convention(boxes_nx4: FloatArray, convention: str) -> FloatArray:
    """Pixel boxes of a named convention (see CONVENTIONS) with continuous edges. Raises UserError for an unknown one."""
    return chosen("convention of boxes", convention, CONVENTIONS)[0](boxes_nx4)


def to_convention(boxes_nx4: FloatArray, convention: str) -> FloatArray:
    """Pixel boxes with continuous edges in a named convention. Raises UserError for an unknown one."""
    return chosen("convention of boxes", convention, CONVENTIONS)[1](boxes_nx4)


def only_edges(convention: str) -> None:
    """Refuse, for a format whose numbers are edges by definition, another convention. Raises UserError."""
    chosen("convention of boxes (of this format)", convention or "edges", {"edges": True})


def number(value: Any) -> float:
    """A finite number from text or JSON. Raises ValueError where it is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{brief(value)} is no number")
    try:
        found = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{brief(value)} is no number") from None
    if not math.isfinite(found) or abs(found) > LARGEST_NUMBER:
        raise ValueError(f"{brief(value)} is no coordinate")
    return found


def class_name(value: Any) -> str:
    """A class's name without white space around it. Raises ValueError for what no report could show."""
    name = value.strip() if isinstance(value, str) else ""
    if not name or not name.isprintable():
        raise ValueError(f"{brief(value)} is no name of a class")
    return name


def side(value: Any) -> int:
    """A picture's width or height in pixels; 0 where it is not said, or not sensibly."""
    try:
        found = number(value)
    except ValueError:
        return 0
    return int(found) if found >= 1 else 0


def brief(value: Any) -> str:
    """Something found in a file, for a message: printable, one line, not long."""
    if isinstance(value, (dict, list, tuple)):  # may be nested as deep as a file likes
        return f"a {type(value).__name__}"
    if isinstance(value, int) and abs(value) > 2**64:
        return "a huge number"
    text = ascii(value) if not isinstance(value, str) or not value.isprintable() else f"'{value}'"
    return text if len(text) <= 80 else text[:77] + "..."


def box_array(found: Sequence[Sequence[float]]) -> FloatArray:
    """Boxes (n, 4) float64, n may be 0."""
    return np.array(found, np.float64).reshape(-1, 4)


def assembled(form: str, classes: Iterable[str], entries: Iterable[Annotation], faults: Iterable[Fault]) -> Annotated:
    """Annotations ordered by file, each file once.

    Of several entries for one file the first counts, those of test before those of validation before those of train before those
    of no split, so that nothing is trained on that a file keeps for scoring. One of no split that says the same is passed over
    (a table of everything beside tables of the splits); any other is a fault.
    """
    kept: dict[str, Annotation] = {}
    found = list(faults)
    for entry in sorted(entries, key=lambda entry: (entry.file, _PRECEDENCE[entry.split])):
        first = kept.setdefault(entry.file, entry)
        if first is entry or (entry.split == "" and _same(first, entry)):
            continue
        if entry.split and entry.split != first.split:
            what = f"{brief(entry.file)} is in {first.split} ({first.where}) and in {entry.split}; it counts for {first.split}"
            found.append(Fault("duplicate_image", entry.where, what))
        else:
            also = "also" if _same(first, entry) else "otherwise"
            found.append(Fault("duplicate_annotation", entry.where, f"{brief(entry.file)} is annotated {also} in {first.where}"))
    return Annotated(form, tuple(classes), tuple(kept.values()), tuple(found))


def _same(a: Annotation, b: Annotation) -> bool:
    """Whether two annotations say the same of their image, boxes in any order."""

    def content(annotation: Annotation) -> Any:
        return annotation.label, sorted(zip(annotation.names, annotation.boxes_nx4.tolist(), strict=True))

    return bool(content(a) == content(b))


def file_to_write(annotation: Annotation) -> str:
    """An annotation's image, relative to the data's folder, for a file that is called after it. Raises UserError where it lies outside."""
    if inside(annotation.file) != annotation.file:
        raise UserError(f"{brief(annotation.file)} is no file of the data's folder; nothing is written for it")
    return annotation.file


def in_pixels(annotation: Annotation) -> FloatArray:
    """An annotation's boxes in pixels. Raises UserError where they are in [0, 1] of a size that is not said."""
    if not annotation.relative or not len(annotation.boxes_nx4):
        return annotation.boxes_nx4
    found: FloatArray = boxes.to_pixels(annotation.boxes_nx4, *_size(annotation))
    return found


def in_unit(annotation: Annotation) -> FloatArray:
    """An annotation's boxes in [0, 1] of its size. Raises UserError where they are in pixels of a size that is not said."""
    if annotation.relative or not len(annotation.boxes_nx4):
        return annotation.boxes_nx4
    found: FloatArray = boxes.from_pixels(annotation.boxes_nx4, *_size(annotation))
    return found


def _size(annotation: Annotation) -> tuple[int, int]:
    if not (annotation.width and annotation.height):
        raise UserError(f"the size of {annotation.file} is not said in {annotation.where or 'its annotation'}; this format needs it")
    return annotation.width, annotation.height
