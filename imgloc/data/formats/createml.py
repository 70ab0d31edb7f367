"""Create ML: a JSON list with an object for each image
(https://developer.apple.com/documentation/createml/building-an-object-detector-data-source).

Each has the name of the image (`image`, or `imagefilename` in older files) and `annotations` (or `annotation`), a list of
`{"label": ..., "coordinates": {"x", "y", "width", "height"}}`. By default x and y are the center of the box in pixels from the top left
of the image. Create ML can also be set to read the top left corner, and shares of the sides; `convention` names this. The split is
that of the file's name or folder (Roboflow writes train/_annotations.createml.json).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from imgloc import boxes as box_arithmetic
from imgloc.data.annotated import assemble, json_files
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import Listing, list_folder, parent_folders
from imgloc.data.annotated.splits import split_of_name
from imgloc.types import FloatArray

IMAGE = ("image", "imagefilename", "imageFilename")
ANNOTATIONS = ("annotations", "annotation")
COORDINATES = ("x", "y", "width", "height")
#: What the four numbers are, and whether they are shares of the sides.
CONVENTIONS = {
    "center": ("center", False), "top_left": ("xywh", False), "normalized_center": ("center", True), "normalized_top_left": ("xywh", True),
}  # fmt: skip
TO_CORNERS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "center": box_arithmetic.from_yolo_cxcywh, "xywh": box_arithmetic.from_coco_xywh,
}  # fmt: skip
BEGINNING = re.compile(r"\s*\[\s*(?=\{)")
DAMAGED = re.compile(r'"label".*"coordinates"|"coordinates".*"label"', re.DOTALL)  # a first object that is not valid JSON, or is long


def recognise(folder: Path | Listing) -> bool:
    """Returns whether a JSON file begins with a list of objects that have an image and annotations."""
    listing = list_folder(folder)
    return any(_has_keys(name, listing) for name in json_files.first_files(listing))


def read(folder: Path | Listing, *, convention: str = "") -> AnnotatedFolder:
    """Reads all Create ML files of a folder; boxes are in pixels, or in [0, 1] with a normalized convention; classes are sorted by name.

    `convention` is what x and y are: center (also ""), top_left, normalized_center or normalized_top_left. Raises UserError if the folder
    does not exist, and for an unknown convention.
    """
    meaning, relative = assemble.choose_convention(convention, CONVENTIONS)
    listing = list_folder(folder)
    faults = list(listing.faults)
    entries: list[Annotation] = []
    for name in listing.with_suffix(".json"):
        if not _has_keys(name, listing):
            continue
        content = json_files.load_json(name, listing, faults)
        if content is not None and not isinstance(content, list):
            faults.append(Fault("bad_file", name, "it is not a list of images"))
        split = split_of_name(name.rpartition("/")[2]) or listing.split_of(name)
        for index, image in enumerate(map(json_files.as_mapping, json_files.as_list(content))):
            entry = _annotation(image, f"{name} images[{index}]", name, listing, faults)
            if entry is None:
                continue
            file, numbers, names = entry
            boxes_nx4 = TO_CORNERS[meaning](assemble.box_array(numbers))
            where = f"{name} images[{index}]"
            entries.append(Annotation(file, boxes_nx4, tuple(names), relative=relative, split=split or listing.split_of(file), where=where))
    classes = sorted({label for entry in entries for label in entry.names})
    return assemble.merge_annotations("createml", classes, entries, faults, meaning=meaning)


def _has_keys(name: str, listing: Listing) -> bool:
    """Returns whether a file begins with a list whose first object has an image and annotations."""
    head = listing.head(name, 2**16)
    beginning = BEGINNING.match(head)
    if beginning is None:
        return False
    try:
        first = json_files.as_mapping(json.JSONDecoder().raw_decode(head, beginning.end())[0])
    except (ValueError, RecursionError):
        return DAMAGED.search(head) is not None
    return any(key in first for key in IMAGE) and any(key in first for key in ANNOTATIONS)


def _annotation(
    image: Mapping[str, object], where: str, name: str, listing: Listing, faults: list[Fault]
) -> tuple[str, list[list[float]], list[str]] | None:
    """Returns the file, the numbers of the boxes and their classes; None if the image is not named or outside the folder."""
    path = next((image[key] for key in IMAGE if key in image), None)
    objects = next((image[key] for key in ANNOTATIONS if key in image), None)
    if not isinstance(path, str) or not isinstance(objects, list):
        faults.append(Fault("bad_annotation", where, "it must have the name of an image (`image`) and a list `annotations`"))
        return None
    folders = [f"{parent}/{images}".strip("/") for parent in parent_folders(name) for images in ("", "images")]
    file = listing.find_image(path, folders)
    if file is None:
        faults.append(assemble.outside_fault(where, path))
        return None
    numbers, names = [], []
    for number, item in enumerate(map(json_files.as_mapping, objects), start=1):
        coordinates = json_files.as_mapping(item.get("coordinates"))
        try:
            box, label = [assemble.parse_number(coordinates.get(key)) for key in COORDINATES], assemble.parse_class_name(item.get("label"))
        except ValueError as error:
            faults.append(Fault("bad_annotation", where, f"object {number}: {error}"))
            continue
        numbers.append(box)
        names.append(label)
    return file, numbers, names
