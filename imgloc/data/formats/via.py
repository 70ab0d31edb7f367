"""VGG Image Annotator (VIA), versions 1 and 2: via_region_data.json, or a project with `_via_img_metadata`
(Dutta and Zisserman, 2019, arXiv:1904.10699; https://www.robots.ox.ac.uk/~vgg/software/via/).

Each image has its `filename` and `regions`, a list (version 2) or an object (version 1) of `shape_attributes` and `region_attributes`.
A rect is left, top, width and height in pixels; of a polygon, circle or ellipse the bounding box is used; points and polylines have
no area and are left out. The class is the value of an attribute of the region: a text, the chosen option, or the only checked box. It is
the one attribute that all regions have; `class_attribute` names it where there are several. Without any attribute, the class is `object`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from imgloc.data.annotated import assemble, json_files, shapes
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import Listing, list_folder, parent_folders
from imgloc.data.annotated.splits import split_of_name
from imgloc.errors import UserError, listed

DEFAULT_CLASS = "object"  # of regions without attributes
WITHOUT_AREA = ("point", "polyline", "line")
PROJECT = "_via_img_metadata"
KEYS = re.compile(rf'"({PROJECT}|_via_settings)"\s*:\s*\{{|^\s*\{{\s*"[^"]*"\s*:\s*\{{.*"(regions)"\s*:\s*[\[{{]', re.DOTALL)
MAX_NAMED = 8  # attributes in a message


class _Region(NamedTuple):
    shape: Mapping[str, object]
    attributes: Mapping[str, object]


class _Image(NamedTuple):
    file: str
    split: str
    where: str
    regions: list[_Region]


def recognise(folder: Path | Listing) -> bool:
    """Returns whether a JSON file has the keys of a project, or images with regions, near its beginning."""
    listing = list_folder(folder)
    return any(_has_keys(name, listing) for name in json_files.first_files(listing))


def read(folder: Path | Listing, *, convention: str = "", class_attribute: str = "") -> AnnotatedFolder:
    """Reads all VIA files of a folder; boxes are in pixels, classes in alphabetical order.

    `class_attribute` is the attribute of regions that is the class ("": the only one that all regions have). Raises UserError if the
    folder does not exist, for a convention other than edges, and for an attribute that no region has or that is not clear.
    """
    assemble.require_edges(convention)
    listing = list_folder(folder)
    faults = list(listing.faults)
    images = [image for name in listing.with_suffix(".json") if _has_keys(name, listing) for image in _read_file(name, listing, faults)]
    attribute = _class_attribute([region for image in images for region in image.regions], class_attribute)
    entries = []
    left_out: list[str] = []
    for image in images:
        boxes, names = [], []
        for number, region in enumerate(image.regions, start=1):
            if region.shape.get("name") in WITHOUT_AREA:
                left_out.append(image.where)
                continue
            try:
                box, label = _box(region.shape), _class_name(region.attributes.get(attribute)) if attribute else DEFAULT_CLASS
            except ValueError as error:
                faults.append(Fault("bad_annotation", image.where, f"region {number}: {error}"))
                continue
            boxes.append(box)
            names.append(label)
        entries.append(Annotation(image.file, assemble.box_array(boxes), tuple(names), split=image.split, where=image.where))
    if left_out:
        faults.append(Fault("unboxed_shape", left_out[0], f"{len(left_out):,} regions are points or lines"))
    return assemble.merge_annotations("via", sorted({name for entry in entries for name in entry.names}), entries, faults, meaning="xywh")


def _has_keys(name: str, listing: Listing) -> bool:
    return KEYS.search(listing.head(name, 2**16)) is not None


def _read_file(name: str, listing: Listing, faults: list[Fault]) -> Iterator[_Image]:
    """Yields the images of one file."""
    content = json_files.as_mapping(json_files.load_json(name, listing, faults))
    split = split_of_name(name.rpartition("/")[2])
    folders = [f"{parent}/{images}".strip("/") for parent in parent_folders(name) for images in ("", "images")]
    metadata = content.get(PROJECT, {} if "_via_settings" in content else content)
    for index, image in enumerate(map(json_files.as_mapping, json_files.as_mapping(metadata).values())):
        where, path, regions = f"{name} images[{index}]", image.get("filename"), image.get("regions", [])
        if not isinstance(path, str) or not isinstance(regions, (list, dict)):
            faults.append(Fault("bad_annotation", where, "it must have a `filename`, and `regions`"))
            continue
        file = listing.find_image(path, folders)
        if file is None:
            faults.append(assemble.outside_fault(where, path))
            continue
        items = map(json_files.as_mapping, regions.values() if isinstance(regions, dict) else regions)
        found = [
            _Region(json_files.as_mapping(item.get("shape_attributes")), json_files.as_mapping(item.get("region_attributes")))
            for item in items
        ]
        yield _Image(file, split or listing.split_of(name) or listing.split_of(file), where, found)


def _class_attribute(regions: list[_Region], chosen: str) -> str:
    """Returns the attribute that is the class, "" if no region has any. Raises UserError if it is missing or not clear."""
    with_area = [region for region in regions if region.shape.get("name") not in WITHOUT_AREA]
    counts = Counter(key for region in with_area for key, value in region.attributes.items() if value not in ("", {}))
    possible = sorted(counts)
    if chosen:
        if chosen not in counts:
            raise UserError(
                f"no region has the attribute '{chosen}' (data.options.class_attribute); possible: {listed(possible, MAX_NAMED)}"
            )
        return chosen
    complete = [name for name, count in counts.items() if count == len(with_area)]
    candidates = complete or list(counts)
    if len(candidates) > 1:
        how = "several of which all regions have" if complete else "none of which all regions have"
        raise UserError(
            f"the regions have the attributes {listed(possible, MAX_NAMED)}, {how}; set data.options.class_attribute to the class"
        )
    return candidates[0] if candidates else ""


def _class_name(value: object) -> str:
    """Returns the class that the value of an attribute names: a text, or the only checked box. Raises ValueError otherwise."""
    if isinstance(value, dict):
        checked = [name for name, state in value.items() if state is True or state == "true"]
        if len(checked) != 1:
            raise ValueError(f"{len(checked)} boxes of the class attribute are checked; exactly one must be")
        return assemble.parse_class_name(checked[0])
    return assemble.parse_class_name(value)


def _box(shape: Mapping[str, object]) -> list[float]:
    """Returns the box of a shape. Raises ValueError for an unknown shape, and for missing or bad numbers."""

    def numbers(*keys: str) -> list[float]:
        return [assemble.parse_number(shape.get(key)) for key in keys]

    def numbers_of(values: object) -> list[float]:
        return [assemble.parse_number(value) for value in json_files.as_list(values)]

    kind = shape.get("name")
    if kind == "rect":
        left, top, width, height = numbers("x", "y", "width", "height")
        return [left, top, left + width, top + height]
    if kind == "polygon":
        points_x, points_y = (numbers_of(shape.get(key)) for key in ("all_points_x", "all_points_y"))
        if len(points_x) != len(points_y):
            raise ValueError(f"the polygon has {len(points_x)} numbers x and {len(points_y)} numbers y")
        return shapes.bounding_box(list(zip(points_x, points_y, strict=True)))
    if kind == "circle":
        x, y, radius = numbers("cx", "cy", "r")
        return shapes.ellipse_box(x, y, radius, radius)
    if kind == "ellipse":
        return shapes.ellipse_box(*numbers("cx", "cy", "rx", "ry"), angle=assemble.parse_number(shape.get("theta", 0)))
    raise ValueError(f"the shape is {assemble.quoted(kind)}; possible: rect, polygon, circle, ellipse")
