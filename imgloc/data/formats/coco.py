"""COCO: one JSON file a split, with `images`, `categories` and `annotations` (https://cocodataset.org/#format-data).

A bbox is left, top, width, height in pixels, continuous, from 0. A file's name, or the folder it lies in, tells its split
(instances_train2017.json, train/_annotations.coco.json); its images lie in a folder of that split, in images/, or beside it.
Where there are files instances_*.json the others in their folder are left alone: captions and keypoints repeat the images.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgloc import boxes, files
from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import Annotated, Annotation, Fault
from imgloc.data.annotated.listing import Listing, folders_of, list_folder, split_of_folders, split_of_name

KEYS = ("images", "annotations", "categories")
FILE_OF_SPLIT = {"train": "instances_train.json", "validation": "instances_val.json", "test": "instances_test.json", "": "instances.json"}


def recognise(folder: Path | Listing) -> bool:
    """Whether there is a JSON file with one of COCO's lists near its beginning."""
    listing = list_folder(folder)
    return any(re.search(r'"(images|annotations|categories)"\s*:\s*\[', listing.head(name, 2**16)) for name in _candidates(listing))


def read(folder: Path | Listing, *, convention: str = "") -> Annotated:
    """All COCO files of a folder; boxes in pixels, with continuous edges. Classes are in the order of their category ids.

    A crowd (iscrowd 1: one box for many objects) is no box. Boxes of categories that are not declared have the class "".
    Raises UserError for no such folder, and for a convention other than edges.
    """
    assemble.only_edges(convention)
    listing = list_folder(folder)
    faults = list(listing.faults)
    entries: list[Annotation] = []
    classes: dict[Any, str] = {}
    for name in _candidates(listing):
        try:
            content = json.loads(listing.read_text(name))
        except RecursionError:
            faults.append(Fault("bad_annotation", name, "its values are nested too deep"))
            continue
        except ValueError as error:
            faults.append(Fault("bad_annotation", name, f"no JSON: {str(error)[:200]}"))
            continue
        if isinstance(content, dict) and all(isinstance(content.get(key), list) for key in KEYS):
            categories = _categories(content["categories"], name, faults)
            for number, label in categories.items():
                if classes.setdefault(number, label) != label:
                    what = f"category {assemble.brief(number)} is '{label}' here and '{classes[number]}' in another file"
                    faults.append(Fault("bad_annotation", name, what))
            entries += _annotations(content, name, listing, categories, faults)
    ordered = [classes[number] for number in sorted(classes, key=lambda number: (isinstance(number, str), number))]
    return assemble.assembled("coco", dict.fromkeys(ordered), entries, faults)


def _candidates(listing: Listing) -> list[str]:
    """JSON files that may be meant: in a folder with instances_*.json, those."""
    found = [name for name in listing.ending(".json") if listing.files[name][0]]
    instances = [name for name in found if name.rpartition("/")[2].startswith("instances")]
    taken = {name.rpartition("/")[0] for name in instances}
    return [name for name in found if name in instances or name.rpartition("/")[0] not in taken]


def _identity(value: Any) -> Any:
    """An id, which may be a number or text. Raises ValueError for anything else."""
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise ValueError(f"{assemble.brief(value)} is no id")


def _categories(declared: list[Any], name: str, faults: list[Fault]) -> dict[Any, str]:
    """Names by category id."""
    found: dict[Any, str] = {}
    for place, category in enumerate(declared):
        try:
            if not isinstance(category, dict):
                raise ValueError(f"{assemble.brief(category)} is no category")
            number, label = _identity(category.get("id")), assemble.class_name(category.get("name"))
            if found.setdefault(number, label) != label:
                raise ValueError(f"category {assemble.brief(number)} is '{found[number]}' already, and '{label}' here")
        except ValueError as error:
            faults.append(Fault("bad_annotation", f"{name} categories[{place}]", str(error)))
    return found


def _annotations(
    content: Mapping[str, Any], name: str, listing: Listing, categories: Mapping[Any, str], faults: list[Fault]
) -> list[Annotation]:
    """The annotations of one file, an entry an image."""
    images = _images(content["images"], name, listing, faults)
    boxes_of: dict[Any, list[list[float]]] = {number: [] for number in images}
    names_of: dict[Any, list[str]] = {number: [] for number in images}
    for place, annotation in enumerate(content["annotations"]):
        where = f"{name} annotations[{place}]"
        try:
            if not isinstance(annotation, dict):
                raise ValueError(f"{assemble.brief(annotation)} is no annotation")
            image, category = _identity(annotation.get("image_id")), _identity(annotation.get("category_id"))
            if image not in images:
                raise ValueError(f"there is no image of id {assemble.brief(image)}")
            if annotation.get("iscrowd") == 1:
                continue
            given = annotation.get("bbox")
            if not isinstance(given, list) or len(given) != 4:
                raise ValueError(f"bbox is {assemble.brief(given)}; it wants left, top, width, height")
            box = [assemble.number(value) for value in given]
        except ValueError as error:
            faults.append(Fault("bad_annotation", where, str(error)))
            continue
        if category not in categories:
            faults.append(Fault("unknown_class", where, f"category {assemble.brief(category)} is not declared"))
        boxes_of[image].append(box)
        names_of[image].append(categories.get(category, ""))
    split = split_of_name(name.rpartition("/")[2]) or split_of_folders(name)
    return [
        Annotation(
            file=file,
            boxes_nx4=boxes.from_coco_xywh(assemble.box_array(boxes_of[number])),
            names=tuple(names_of[number]),
            width=width,
            height=height,
            split=split or split_of_folders(file),
            where=where,
        )
        for number, (file, width, height, where) in images.items()
    ]


def _images(declared: list[Any], name: str, listing: Listing, faults: list[Fault]) -> dict[Any, tuple[str, int, int, str]]:
    """File, width, height and place of each image by its id."""
    last = name.rpartition("/")[2].lower()
    own = re.search(r"(train|val|valid|test)[0-9]*", last)
    words = ([own[0], own[1]] if own else []) + ["images", ""]
    near = [f"{above}/{images}{word}".strip("/") for above in folders_of(name) for word in words for images in ("", "images/")]
    found: dict[Any, tuple[str, int, int, str]] = {}
    for place, image in enumerate(declared):
        where = f"{name} images[{place}]"
        try:
            if not isinstance(image, dict) or not isinstance(image.get("file_name"), str):
                raise ValueError("it has no file_name")
            number = _identity(image.get("id"))
            if number in found:
                faults.append(Fault("duplicate_annotation", where, f"another image has the id {assemble.brief(number)}"))
                continue
            file = listing.find(image["file_name"], near)
        except ValueError as error:
            faults.append(Fault("bad_annotation", where, str(error)))
            continue
        if file is None:
            faults.append(Fault("outside_folder", where, f"{assemble.brief(image['file_name'])} is no file of the data's folder"))
            continue
        found[number] = file, assemble.side(image.get("width")), assemble.side(image.get("height")), where
    return found


def write(annotated: Annotated, folder: Path) -> None:
    """Annotations as annotations/instances_SPLIT.json (instances.json for images of no split); images are not copied.

    Files are named relative to `folder`; category ids count from 1. Boxes of classes that are not declared are left out.
    Raises UserError for boxes in [0, 1] of an unknown size.
    """
    numbers = {name: number for number, name in enumerate(annotated.classes, start=1)}
    categories = [{"id": number, "name": name, "supercategory": ""} for name, number in numbers.items()]
    for split in sorted({entry.split for entry in annotated.images}):
        images: list[dict[str, Any]] = []
        found: list[dict[str, Any]] = []
        for number, entry in enumerate((entry for entry in annotated.images if entry.split == split), start=1):
            images.append({"id": number, "file_name": entry.file, "width": entry.width, "height": entry.height})
            rows = boxes.to_coco_xywh(assemble.in_pixels(entry)).tolist()
            for (x, y, w, h), name in zip(rows, entry.names, strict=True):
                if name in numbers:
                    row = {"id": len(found) + 1, "image_id": number, "category_id": numbers[name], "bbox": [x, y, w, h]}
                    found.append({**row, "area": w * h, "iscrowd": 0})
        path = folder / "annotations" / FILE_OF_SPLIT[split]
        files.write_json(path, {"images": images, "annotations": found, "categories": categories})
