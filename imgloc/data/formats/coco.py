"""COCO: one JSON file for each split, with `images`, `categories` and `annotations` (https://cocodataset.org/#format-data).

A bbox is (left, top, width, height) in continuous pixels. The name of a file or of its folder gives the split
(instances_train2017.json, train/_annotations.coco.json). The images are in a folder of that split, in images/, or beside the file.
In a folder with files instances_*.json the other files are ignored, because captions and keypoints repeat the images.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

import msgspec
import numpy as np

from imgloc import boxes, files
from imgloc.data.annotated import assemble, foreign
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import Listing, list_folder, parent_folders
from imgloc.data.annotated.splits import split_of_name
from imgloc.types import FloatArray

FILE_OF_SPLIT = {"train": "instances_train.json", "validation": "instances_val.json", "test": "instances_test.json", "": "instances.json"}
Id: TypeAlias = int | Annotated[float, msgspec.Meta(multiple_of=1)] | str  # some tools write 7.0
T = TypeVar("T")
LISTS = re.compile(r'\s*\{.*"(images|annotations)"\s*:\s*\[', re.DOTALL)  # CreateML has a list of objects with annotations
CATEGORIES = re.compile(r'\s*\{.*"categories"\s*:\s*\[', re.DOTALL)
HEAD = 2**16  # bytes of the beginning of a file


class _CocoFile(msgspec.Struct):  # the entries are checked one by one
    images: list[object]
    annotations: list[object]
    categories: list[object]


class _CocoImage(msgspec.Struct):
    id: Id
    file_name: str
    width: object = None
    height: object = None


class _CocoAnnotation(msgspec.Struct):
    image_id: Id
    category_id: Id
    bbox: object = None  # a crowd may have none
    iscrowd: object = 0


class _CocoOutline(msgspec.Struct):
    image_id: Id
    bbox: list[float]
    segmentation: list[list[float]]  # polygons x, y, x, y ...; run lengths, which are a dict, are not read


class _CocoCategory(msgspec.Struct):
    id: Id
    name: str


def recognise(folder: Path | Listing) -> bool:
    """Returns whether a JSON file is an object that has one of COCO's lists near its beginning.

    A short file that has only categories is not a COCO file: Label Studio writes such a notes.json beside YOLO's text files.
    """
    listing = list_folder(folder)
    heads = ((listing.head(name, HEAD), listing.files[name][0]) for name in _candidates(listing))
    return any(LISTS.match(head) or (size > HEAD and CATEGORIES.match(head)) for head, size in heads)


def read(folder: Path | Listing, *, convention: str = "") -> AnnotatedFolder:
    """Reads all COCO files of a folder; boxes are in pixels with continuous edges, classes in the order of their category ids.

    Crowds (iscrowd 1: one box for many objects) are kept apart from the boxes. Boxes of undeclared categories have the class "".
    Raises UserError if the folder does not exist, and for a convention other than edges.
    """
    assemble.require_edges(convention)
    listing = list_folder(folder)
    faults = list(listing.faults)
    entries: list[Annotation] = []
    classes: dict[Id, str] = {}
    for name in _candidates(listing):
        try:
            parsed = json.loads(assemble.load_text(name, listing, faults))
            content = msgspec.convert(parsed, _CocoFile)
        except msgspec.ValidationError:  # a JSON file of another kind
            faults += foreign.describe_json(parsed, name)
            continue
        except RecursionError:
            faults.append(Fault("bad_file", name, "its values are nested too deeply"))
            continue
        except ValueError as error:
            what = f"it is not JSON: {error}" if isinstance(error, json.JSONDecodeError) else str(error)
            faults.append(Fault("bad_file", name, what[:200]))
            continue
        categories = _read_categories(content, name, faults)
        for number, label in categories.items():
            if classes.setdefault(number, label) != label:
                what = f"category {assemble.quoted(number)} is '{label}' here and '{classes[number]}' in another file"
                faults.append(Fault("conflicting_names", name, what))
        entries += _read_annotations(content, name, listing, categories, faults)
    ordered = [classes[number] for number in sorted(classes, key=lambda number: (isinstance(number, str), number))]
    return assemble.merge_annotations("coco", dict.fromkeys(ordered), entries, faults, meaning="xywh")


def _candidates(listing: Listing) -> list[str]:
    """Returns the JSON files that may be COCO's; in a folder with files instances_*.json only these."""
    names = [name for name in listing.with_suffix(".json") if listing.files[name][0]]
    instances = [name for name in names if name.rpartition("/")[2].startswith("instances")]
    folders = {name.rpartition("/")[0] for name in instances}
    return [name for name in names if name in instances or name.rpartition("/")[0] not in folders]


def _converted(items: list[object], kind: type[T], where: str, faults: list[Fault]) -> Iterator[tuple[str, T]]:
    """Yields the location of each item and the item as a `kind`; items that have other fields or types become faults."""
    for index, item in enumerate(items):
        try:
            yield f"{where}[{index}]", msgspec.convert(item, kind)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:  # the latter for keys with lone surrogates
            faults.append(Fault("bad_annotation", f"{where}[{index}]", str(error)))


def _read_categories(content: _CocoFile, name: str, faults: list[Fault]) -> dict[Id, str]:
    """Returns class names by category id."""
    names: dict[Id, str] = {}
    for where, category in _converted(content.categories, _CocoCategory, f"{name} categories", faults):
        try:
            label = assemble.parse_class_name(category.name)
            if names.setdefault(category.id, label) != label:
                raise ValueError(f"category {assemble.quoted(category.id)} is '{names[category.id]}' before and '{label}' here")
        except ValueError as error:
            faults.append(Fault("bad_annotation", where, str(error)))
    return names


def _read_annotations(
    content: _CocoFile, name: str, listing: Listing, categories: Mapping[Id, str], faults: list[Fault]
) -> list[Annotation]:
    """Returns the annotations of one file, one for each image."""
    images = _read_images(content, name, listing, faults)
    kinds = (False, True)  # objects, and crowds
    found: dict[tuple[Id, bool], tuple[list[list[float]], list[str]]] = {(number, kind): ([], []) for number in images for kind in kinds}
    for where, annotation in _converted(content.annotations, _CocoAnnotation, f"{name} annotations", faults):
        try:
            if annotation.image_id not in images:
                raise ValueError(f"there is no image with id {assemble.quoted(annotation.image_id)}")
            crowd = annotation.iscrowd == 1
            if crowd and annotation.bbox is None:
                continue
            if not isinstance(annotation.bbox, list) or len(annotation.bbox) != 4:
                raise ValueError(f"bbox is {assemble.quoted(annotation.bbox)}; it must be [left, top, width, height]")
            box = [assemble.parse_number(value) for value in annotation.bbox]
        except ValueError as error:
            faults.append(Fault("bad_annotation", where, str(error)))
            continue
        if annotation.category_id not in categories and not crowd:
            faults.append(Fault("unknown_class", where, f"category {assemble.quoted(annotation.category_id)} is not declared"))
        boxes_of_image, names = found[annotation.image_id, crowd]
        boxes_of_image.append(box)
        names.append(categories.get(annotation.category_id, ""))
    split = split_of_name(name.rpartition("/")[2]) or listing.split_of(name)
    return [
        Annotation(
            file=file,
            boxes_nx4=boxes.from_coco_xywh(assemble.box_array(found[number, False][0])),
            names=tuple(found[number, False][1]),
            crowd_boxes_mx4=boxes.from_coco_xywh(assemble.box_array(found[number, True][0])),
            crowd_names=tuple(found[number, True][1]),
            width=assemble.parse_side(image.width),
            height=assemble.parse_side(image.height),
            split=split or listing.split_of(file),
            where=where,
        )
        for number, (file, image, where) in images.items()
    ]


def _read_images(content: _CocoFile, name: str, listing: Listing, faults: list[Fault]) -> dict[Id, tuple[str, _CocoImage, str]]:
    """Returns the file, the entry and the location of each image by its id."""
    split = re.search(r"(train|val|valid|test)[0-9]*", name.rpartition("/")[2].lower())
    words = ([split[0], split[1]] if split else []) + ["images", ""]
    folders = [f"{parent}/{images}{word}".strip("/") for parent in parent_folders(name) for word in words for images in ("", "images/")]
    images: dict[Id, tuple[str, _CocoImage, str]] = {}
    for where, image in _converted(content.images, _CocoImage, f"{name} images", faults):
        file = listing.find_image(image.file_name, folders)
        if image.id in images:
            faults.append(Fault("duplicate_annotation", where, f"another image has the id {assemble.quoted(image.id)}"))
        elif file is None:
            faults.append(assemble.outside_fault(where, image.file_name))
        else:
            images[image.id] = file, image, where
    return images


def read_outlines(folder: Path | Listing, chosen: Collection[str]) -> dict[str, dict[tuple[float, ...], list[FloatArray]]]:
    """Returns the polygons (p, 2) of objects, by image file, for the files `chosen`, and by the object's box xyxy, both in pixels.

    Objects without polygons are left out, and so is everything that `read` reports as a fault.
    """
    listing = list_folder(folder)
    outlines: dict[str, dict[tuple[float, ...], list[FloatArray]]] = {}
    for name in _candidates(listing):
        try:
            content = msgspec.json.decode(assemble.load_text(name, listing, []), type=_CocoFile)
        except ValueError:
            continue
        images = _read_images(content, name, listing, [])
        for _, outline in _converted(content.annotations, _CocoOutline, name, []):
            polygons = [np.array(numbers, np.float32) for numbers in outline.segmentation if len(numbers) >= 6 and len(numbers) % 2 == 0]
            if len(outline.bbox) == 4 and outline.image_id in images and images[outline.image_id][0] in chosen and polygons:
                box = boxes.from_coco_xywh(assemble.box_array([outline.bbox]))[0]
                outlines.setdefault(images[outline.image_id][0], {})[tuple(box.tolist())] = [points.reshape(-1, 2) for points in polygons]
    return outlines


def write(annotated: AnnotatedFolder, folder: Path) -> None:
    """Writes annotations/instances_SPLIT.json, or instances.json for images without a split; images are not copied.

    Files are named relative to `folder`; category ids count from 1. Boxes of undeclared classes are left out.
    Raises UserError for boxes in [0, 1] if the image's size is unknown.
    """
    numbers = {name: number for number, name in enumerate(annotated.classes, start=1)}
    categories = [{"id": number, "name": name, "supercategory": ""} for name, number in numbers.items()]
    for split in sorted({entry.split for entry in annotated.images}):
        images: list[dict[str, object]] = []
        annotations: list[dict[str, object]] = []
        for image_id, entry in enumerate((entry for entry in annotated.images if entry.split == split), start=1):
            images.append({"id": image_id, "file_name": entry.file, "width": entry.width, "height": entry.height})
            rows = boxes.to_coco_xywh(np.concatenate([assemble.boxes_in_pixels(entry), assemble.crowds_in_pixels(entry)])).tolist()
            for place, ((x, y, w, h), name) in enumerate(zip(rows, entry.names + entry.crowd_names, strict=True)):
                if name in numbers:
                    row = {"id": len(annotations) + 1, "image_id": image_id, "category_id": numbers[name], "bbox": [x, y, w, h]}
                    annotations.append({**row, "area": w * h, "iscrowd": int(place >= len(entry.names))})
        path = folder / "annotations" / FILE_OF_SPLIT[split]
        files.write_json(path, {"images": images, "annotations": annotations, "categories": categories})
