"""Functions that all formats share: box conventions, parsing of values, and merging of annotations."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from imgloc import boxes
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import MAX_BYTES, Listing, safe_path
from imgloc.errors import UserError, is_printable, look_up
from imgloc.types import FloatArray

Convert = Callable[[FloatArray], FloatArray]

MAX_COORDINATE = 1e9  # larger numbers are refused
_SPLIT_PRIORITY = {"test": 0, "validation": 1, "train": 2, "": 3}
#: The conventions of pixel boxes by name: conversions to continuous edges, and from these.
CONVENTIONS: Mapping[str, tuple[Convert, Convert]] = {
    "inclusive_from_1": (boxes.from_voc_inclusive, boxes.to_voc_inclusive),
    "inclusive_from_0": (boxes.from_inclusive, boxes.to_inclusive),
    "edges_from_1": (lambda boxes_nx4: boxes_nx4 - 1, lambda boxes_nx4: boxes_nx4 + 1),
    "edges": (lambda boxes_nx4: boxes_nx4, lambda boxes_nx4: boxes_nx4),
}


def from_convention(boxes_nx4: FloatArray, convention: str) -> FloatArray:
    """Converts pixel boxes of a named convention (see CONVENTIONS) to continuous edges. Raises UserError for an unknown one."""
    return look_up("convention of boxes", convention, CONVENTIONS)[0](boxes_nx4)


def to_convention(boxes_nx4: FloatArray, convention: str) -> FloatArray:
    """Converts pixel boxes with continuous edges to a named convention. Raises UserError for an unknown one."""
    return look_up("convention of boxes", convention, CONVENTIONS)[1](boxes_nx4)


def require_edges(convention: str) -> None:
    """Raises UserError for a convention other than "edges" or "", for formats that define their numbers as edges."""
    look_up("convention of boxes (of this format)", convention or "edges", {"edges": True})


def load_text(name: str, listing: Listing, faults: list[Fault], max_bytes: int = MAX_BYTES) -> str:
    """Returns a listed file's text; a guessed encoding becomes a note. Raises ValueError, with the reason, if it cannot be read."""
    text, guess = listing.read_text(name, max_bytes)
    if guess:
        faults.append(Fault("encoding", name, f"it is not UTF-8 and is read as {guess}"))
    return text


def read_text(name: str, listing: Listing, faults: list[Fault]) -> str:
    """Returns the text of a file about many images; "" if it cannot be read, which becomes a fault."""
    try:
        return load_text(name, listing, faults)
    except ValueError as error:
        faults.append(Fault("bad_file", name, str(error)))
        return ""


def outside_fault(where: str, path: str) -> Fault:
    """Returns a fault for a path for which `Listing.find_image` returned None."""
    return Fault("outside_folder", where, f"{quoted(path)} is not a path inside the data's folder")


def parse_number(value: object) -> float:
    """Returns a finite number from text or JSON. Raises ValueError for other values."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{quoted(value)} is not a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{quoted(value)} is not a number") from None
    if not math.isfinite(number) or abs(number) > MAX_COORDINATE:
        raise ValueError(f"{quoted(value)} is not a coordinate")
    return number


def parse_class_name(value: object) -> str:
    """Returns a class name without surrounding white space, and with plain spaces for others, such as no-break ones.

    Raises ValueError if it is empty or not printable.
    """
    text = value if isinstance(value, str) else ""
    name = "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in text).strip()
    if not name or not is_printable(name):
        raise ValueError(f"{quoted(value)} is not a class name")
    return name


def parse_side(value: object) -> int:
    """Returns a picture's width or height in pixels; 0 if it is missing or not a positive number."""
    try:
        number = parse_number(value)
    except ValueError:
        return 0
    return int(number) if number >= 1 else 0


def quoted(value: object) -> str:
    """Formats a value from a file for a message: printable, on one line, at most 80 characters."""
    if isinstance(value, (dict, list, tuple)):  # may be nested to any depth
        return f"a {type(value).__name__}"
    if isinstance(value, int) and abs(value) > 2**64:
        return "a huge number"
    text = ascii(value) if not isinstance(value, str) or not is_printable(value) else f"'{value}'"
    return text if len(text) <= 80 else text[:77] + "..."


def box_array(rows: Sequence[Sequence[float]]) -> FloatArray:
    """Returns boxes (n, 4), float64; n may be 0."""
    return np.array(rows, np.float64).reshape(-1, 4)


def merge_annotations(format_name: str, classes: Iterable[str], entries: Iterable[Annotation], faults: Iterable[Fault]) -> AnnotatedFolder:
    """Returns annotations ordered by file, with one annotation of each file.

    If a file has several annotations, the first one is kept, in the order test, validation, train, no split, so that no image
    that is kept for scoring is trained on. A duplicate without a split and with the same content is dropped silently (a table of
    all images beside the tables of splits). Any other duplicate is a fault.
    """
    kept: dict[str, Annotation] = {}
    all_faults = list(faults)
    for entry in sorted(entries, key=lambda entry: (entry.file, _SPLIT_PRIORITY[entry.split])):
        first = kept.setdefault(entry.file, entry)
        if first is entry or (entry.split == "" and _content(first) == _content(entry)):
            continue
        if entry.split and entry.split != first.split:
            what = f"{quoted(entry.file)} is in {first.split} ({first.where}) and in {entry.split}; it is used for {first.split}"
            all_faults.append(Fault("duplicate_image", entry.where, what))
        else:
            how = "the same" if _content(first) == _content(entry) else "a different"
            what = f"{quoted(entry.file)} has {how} annotation in {first.where}"
            all_faults.append(Fault("duplicate_annotation", entry.where, what))
    return AnnotatedFolder(format_name, tuple(classes), tuple(kept.values()), tuple(all_faults))


def _content(annotation: Annotation) -> tuple[str, list[tuple[str, list[float]]], list[tuple[str, list[float]]]]:
    """Returns the label, the named boxes and the named crowds, sorted, for comparison with another annotation of the same image."""
    boxes = sorted(zip(annotation.names, annotation.boxes_nx4.tolist(), strict=True))
    return annotation.label, boxes, sorted(zip(annotation.crowd_names, annotation.crowd_boxes_mx4.tolist(), strict=True))


def output_path(annotation: Annotation) -> str:
    """Returns an image's path for a file named after it. Raises UserError if the path leads outside the data's folder."""
    if safe_path(annotation.file) != annotation.file:
        raise UserError(f"{quoted(annotation.file)} is not a path inside the data's folder; nothing is written for it")
    return annotation.file


def boxes_in_pixels(annotation: Annotation) -> FloatArray:
    """Returns an annotation's boxes in pixels. Raises UserError if they are in [0, 1] and the image's size is unknown."""
    return _in_pixels(annotation.boxes_nx4, annotation)


def crowds_in_pixels(annotation: Annotation) -> FloatArray:
    """Returns the boxes of an annotation's crowds in pixels. Raises UserError as `boxes_in_pixels` does."""
    return _in_pixels(annotation.crowd_boxes_mx4, annotation)


def _in_pixels(boxes_nx4: FloatArray, annotation: Annotation) -> FloatArray:
    if not annotation.relative or not len(boxes_nx4):
        return boxes_nx4
    return np.asarray(boxes.to_pixels(boxes_nx4, *_size(annotation)))


def normalized_boxes(annotation: Annotation) -> FloatArray:
    """Returns an annotation's boxes in [0, 1]. Raises UserError if they are in pixels and the image's size is unknown."""
    if annotation.relative or not len(annotation.boxes_nx4):
        return annotation.boxes_nx4
    return np.asarray(boxes.from_pixels(annotation.boxes_nx4, *_size(annotation)))


def _size(annotation: Annotation) -> tuple[int, int]:
    if not (annotation.width and annotation.height):
        raise UserError(f"{annotation.where or 'the annotation'} does not give the size of {annotation.file}, which this format needs")
    return annotation.width, annotation.height
