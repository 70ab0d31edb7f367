"""CVAT's XML, version 1.1: "CVAT for images" and "CVAT for video" (https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/).

For images, each `<image>` has its name, size and shapes, and in a project its `subset`, which gives the split. The image is in
`images/`, in `images/SUBSET/`, or anywhere else in the folder. For video, each `<track>` has a shape for each frame; frame 7 is the
image `frame_000007`, shapes with `outside="1"` are left out, and all frames of a file are one group, so that no split tears a video.

Corners are continuous edges in pixels. The bounding box is used of polygons, ellipses, cuboids, masks, and of boxes with a
`rotation`. Points, polylines and skeletons are left out. Classes are in the order of the labels that `<meta>` declares.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from imgloc.data.annotated import assemble, shapes
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import Listing, list_folder, parent_folders
from imgloc.data.annotated.splits import SPLIT_NAMES
from imgloc.data.annotated.xml_files import parse_xml

ROOT = re.compile(r"<annotations[\s>]")
FRAME = re.compile(r"frame_[0-9]+\.[^.]+$")
MAX_BYTES = 2**28  # of a file
CORNERS = ("xtl", "ytl", "xbr", "ybr")
CUBOID = [(f"x{corner}{face}", f"y{corner}{face}") for face in "12" for corner in ("tl", "bl", "tr", "br")]
WITHOUT_AREA = ("points", "polyline", "skeleton")
WITH_AREA = ("box", "polygon", "ellipse", "cuboid", "mask")
SINGLE_TASK = "it has tracks of several tasks, whose frames have the same numbers; export each task alone, or as CVAT for images"


@dataclasses.dataclass
class _Frame:  # the shapes of one image
    where: str
    file: str
    width: int
    height: int
    split: str = ""
    group: str = ""
    boxes: list[list[float]] = dataclasses.field(default_factory=list)
    names: list[str] = dataclasses.field(default_factory=list)


def recognise(folder: Path | Listing) -> bool:
    """Returns whether there are XML files with CVAT's root element."""
    listing = list_folder(folder)
    return any(ROOT.search(listing.head(name, 1024)) for name in listing.with_suffix(".xml")[:10])


def read(folder: Path | Listing, *, convention: str = "") -> AnnotatedFolder:
    """Reads all CVAT files of a folder; boxes are in pixels, classes in the order of their declaration.

    Labels that no file declares follow in alphabetical order. Raises UserError if the folder does not exist, and for a convention
    other than edges.
    """
    assemble.require_edges(convention)
    listing = list_folder(folder)
    faults = list(listing.faults)
    entries: list[Annotation] = []
    declared: dict[str, None] = {}
    for name in listing.with_suffix(".xml"):
        if not ROOT.search(listing.head(name, 1024)):
            continue
        try:
            root = parse_xml(assemble.load_text(name, listing, faults, MAX_BYTES))
        except ValueError as error:
            faults.append(Fault("bad_file", name, str(error)))
            continue
        for label in root.iterfind("meta//labels/label"):
            text = (label.findtext("name") or "").strip()
            if text and label.find("parent") is None:  # a part of a skeleton has one
                declared[text] = None
        left_out: list[str] = []
        frames = [*_images(root, name, listing, faults, left_out), *_tracks(root, name, listing, faults, left_out)]
        if left_out:
            faults.append(Fault("unboxed_shape", left_out[0], f"{len(left_out):,} shapes are points, polylines or skeletons"))
        entries += [
            Annotation(
                frame.file, assemble.box_array(frame.boxes), tuple(frame.names), width=frame.width, height=frame.height,
                split=frame.split or listing.split_of(frame.file) or listing.split_of(name), group=frame.group, where=frame.where,
            )
            for frame in frames
        ]  # fmt: skip
    used = {label for entry in entries for label in entry.names}
    return assemble.merge_annotations("cvat", dict.fromkeys([*declared, *sorted(used)]), entries, faults)


def _images(root: ET.Element, name: str, listing: Listing, faults: list[Fault], left_out: list[str]) -> Iterator[_Frame]:
    """Yields the images of a file "for images"."""
    for index, image in enumerate(root.iterfind("image")):
        where = f"{name} image[{index}]"
        subset, path = image.get("subset", ""), image.get("name", "")
        below = [f"images/{subset}", "images", subset, ""]
        folders = [f"{parent}/{folder}".strip("/") for parent in parent_folders(name) for folder in below]
        file = listing.find_image(path, folders)
        if file is None:
            faults.append(assemble.outside_fault(where, path))
            continue
        size = assemble.parse_side(image.get("width")), assemble.parse_side(image.get("height"))
        frame = _Frame(where, file, *size, split=SPLIT_NAMES.get(subset.lower(), ""))
        for shape in image:
            _add_shape(frame, shape, shape.get("label", ""), faults, left_out)
        yield frame


def _tracks(root: ET.Element, name: str, listing: Listing, faults: list[Fault], left_out: list[str]) -> list[_Frame]:
    """Returns the frames of a file "for video"; those beside frames with a shape have none."""
    frames: dict[str, _Frame] = {}
    tracks = root.findall("track")
    if tracks and len({task.findtext("id") for task in root.iterfind("meta/project/tasks/task")}) > 1:
        faults.append(Fault("bad_file", name, SINGLE_TASK))
        return []
    original = root.find("meta//original_size")
    width, height = (assemble.parse_side(original.findtext(side)) if original is not None else 0 for side in ("width", "height"))
    folders = [f"{parent}/{images}".strip("/") for parent in parent_folders(name) for images in ("images", "")]
    find_image = functools.cache(lambda frame: listing.find_image(frame, folders) or "")
    for track in tracks:
        for shape in track:
            number = shape.get("frame", "")
            if not (number.isascii() and number.isdigit() and len(number) < 10):
                if shape.tag in WITH_AREA:
                    faults.append(Fault("bad_annotation", name, f"track {track.get('id')}: frame is {assemble.quoted(number)}"))
                continue
            if shape.get("outside") != "1":
                file = find_image(f"frame_{int(number):06d}")
                frame = frames.setdefault(file, _Frame(f"{name} frame[{int(number)}]", file, width, height, group=name))
                _add_shape(frame, shape, track.get("label", ""), faults, left_out)
    for below in {file.rpartition("/")[0] for file in frames if file in listing.files}:
        for file in listing.images_below(below):
            if FRAME.match(file.rpartition("/")[2]):
                frames.setdefault(file, _Frame(name, file, width, height, group=name))
    return [frames[file] for file in sorted(frames)]


def _add_shape(frame: _Frame, shape: ET.Element, label: str, faults: list[Fault], left_out: list[str]) -> None:
    """Adds the box of a shape to its image; shapes that cannot be used become faults or are listed in `left_out`."""
    if shape.tag in WITHOUT_AREA:
        left_out.append(frame.where)
    if shape.tag not in WITH_AREA:  # such as a tag of the image
        return
    try:
        name, box = assemble.parse_class_name(label), _box(shape)
    except ValueError as error:
        faults.append(Fault("bad_annotation", frame.where, f"{shape.tag}: {error}"))
        return
    frame.names.append(name)
    frame.boxes.append(box)


def _box(shape: ET.Element) -> list[float]:
    """Returns the box of a shape. Raises ValueError if one of its numbers is missing or is none."""

    def numbers(*keys: str) -> list[float]:
        return [assemble.parse_number(shape.get(key, "")) for key in keys]

    angle = math.radians(assemble.parse_number(shape.get("rotation", "0")))
    if shape.tag == "polygon":
        pairs = [point.split(",") for point in shape.get("points", "").split(";") if point.strip()]
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError(f"points are {assemble.quoted(shape.get('points', ''))}; they must be x,y;x,y;...")
        return shapes.bounding_box([[assemble.parse_number(value) for value in pair] for pair in pairs])
    if shape.tag == "ellipse":
        return shapes.ellipse_box(*numbers("cx", "cy", "rx", "ry"), angle=angle)
    if shape.tag == "cuboid":
        return shapes.bounding_box([numbers(x, y) for x, y in CUBOID])
    if shape.tag == "mask":
        left, top, width, height = numbers("left", "top", "width", "height")
        return [left, top, left + width, top + height]
    box = numbers(*CORNERS)
    return shapes.rotated_box(box, angle) if angle else box
