"""labelme: one JSON file for each image, with `shapes` and `imagePath` (https://github.com/wkentaro/labelme).

`imagePath` is relative to the JSON file, with either slash; the image that is named like the JSON file is used if it does not exist.
The pixels in `imageData` and all `flags` are ignored. A rectangle has two opposite corners, in any order, or all four, also rotated, as
X-AnyLabeling writes it (https://github.com/CVHub520/X-AnyLabeling); a circle has its center and a point on its edge; of a polygon and of
a mask the bounding box is used. Points and lines have no area and are left out. Shapes with the same label and `group_id` are one
object, whose box encloses all of them. Coordinates are continuous edges in pixels.

A file `labels.txt` lists the classes in their order. Its lines that begin with two underscores (`__ignore__`) and `_background_` are
no classes, and shapes with such labels are left out.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

from imgloc.data.annotated import assemble, json_files, shapes
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import Listing, list_folder

LABELS = "labels.txt"
#: Keys of labelme's files. The pixels may come first, and then the head of a file shows nothing else.
KEYS = re.compile(r'"(imageData)"\s*:\s*("|null)|"(shapes)"\s*:\s*\[|"(imagePath|imageHeight|imageWidth)"\s*:')
WITHOUT_AREA = ("point", "points", "line", "linestrip")
OUTLINES = ("rectangle", "polygon", "oriented_rectangle", "rotation", "quadrilateral", None)
NO_CLASS = re.compile("__.*|_background_")


def recognise(folder: Path | Listing) -> bool:
    """Returns whether one of the first JSON files has labelme's keys near its beginning."""
    listing = list_folder(folder)
    return any(_has_keys(name, listing) for name in json_files.first_files(listing))


def read(folder: Path | Listing, *, convention: str = "") -> AnnotatedFolder:
    """Reads all labelme files of a folder; boxes are in pixels, classes in the order of labels.txt, others after it by name.

    Raises UserError if the folder does not exist, and for a convention other than edges.
    """
    assemble.require_edges(convention)
    listing = list_folder(folder)
    faults = list(listing.faults)
    entries = []
    for name in listing.with_suffix(".json"):
        if not _has_keys(name, listing) and listing.image_of_stem(name) is None:
            continue
        content = json_files.load_json(name, listing, faults, "bad_annotation")
        if isinstance(content, dict) and isinstance(content.get("shapes"), list):
            entry = _annotation(content, name, listing, faults)
            entries += [entry] if entry is not None else []
        elif content is not None and _has_keys(name, listing):
            faults.append(Fault("bad_annotation", name, "it has no list `shapes`"))
    used = {label for entry in entries for label in entry.names}
    return assemble.merge_annotations("labelme", dict.fromkeys([*_declared(listing, faults), *sorted(used)]), entries, faults)


def _has_keys(name: str, listing: Listing) -> bool:
    found = {next(filter(None, match.group(1, 3, 4))) for match in KEYS.finditer(listing.head(name, 2**16))}
    return "imageData" in found or ("shapes" in found and len(found) > 1)


def _annotation(content: Mapping[str, object], name: str, listing: Listing, faults: list[Fault]) -> Annotation | None:
    """Returns the annotation of one file; None if the path of its image leads outside the folder."""
    path = content.get("imagePath")
    file = _find_image(path, name, listing)
    if file is None:
        faults.append(assemble.outside_fault(name, path if isinstance(path, str) else str(path)[:80]))
        return None
    boxes: list[list[float]] = []
    names: list[str] = []
    groups: dict[tuple[str, object], int] = {}
    left_out = ignored = 0
    for number, shape in enumerate(map(json_files.as_mapping, json_files.as_list(content["shapes"])), start=1):
        try:
            label = assemble.parse_class_name(shape.get("label"))
            if shape.get("shape_type") in WITHOUT_AREA:
                left_out += 1
                continue
            box = _box(shape)
        except ValueError as error:
            faults.append(Fault("bad_annotation", name, f"shape {number}: {error}"))
            continue
        if NO_CLASS.fullmatch(label):
            ignored += 1
            continue
        group = shape.get("group_id")
        first = groups.setdefault((label, group), len(boxes)) if isinstance(group, (int, str)) else len(boxes)
        if first < len(boxes):
            boxes[first] = shapes.bounding_box([boxes[first][:2], boxes[first][2:], box[:2], box[2:]])
        else:
            boxes.append(box)
            names.append(label)
    if left_out:
        faults.append(Fault("unboxed_shape", name, f"{left_out:,} shapes are points or lines"))
    if ignored:
        faults.append(Fault("ignored_box", name, f"{ignored:,} shapes have a label that is not a class, such as __ignore__"))
    return Annotation(
        file=file,
        boxes_nx4=assemble.box_array(boxes),
        names=tuple(names),
        width=assemble.parse_side(content.get("imageWidth")),
        height=assemble.parse_side(content.get("imageHeight")),
        split=listing.split_of(name) or listing.split_of(file),
        where=name,
    )


def _find_image(path: object, name: str, listing: Listing) -> str | None:
    """Returns the image of a file: the one that `imagePath` names, else the one beside the file with its name."""
    folder = name.rpartition("/")[0]
    relative = path.replace("\\", "/") if isinstance(path, str) else ""
    is_relative = bool(relative) and not re.match("/|[A-Za-z]:", relative)
    named = listing.find_image(posixpath.normpath(posixpath.join(folder, relative)), [""]) if is_relative else None
    return named if named in listing.files else listing.image_of_stem(name) or named


def _box(shape: Mapping[str, object]) -> list[float]:
    """Returns the box of a shape. Raises ValueError for a shape of an unknown type or with a wrong number of points."""
    points = shapes.parse_points(shape.get("points"))
    kind = shape.get("shape_type", "polygon")
    if kind in ("circle", "mask") and len(points) != 2:
        raise ValueError(f"a {kind} has {len(points)} points; it must have 2")
    if kind == "rectangle" and len(points) not in (2, 4):
        raise ValueError(f"a rectangle has {len(points)} points; it must have 2 or 4")
    if kind == "circle":
        radius = math.dist(*points)
        return shapes.ellipse_box(*points[0], radius, radius)
    if kind == "mask":  # its corners are pixels, the last of which is included
        x0, y0, x1, y1 = shapes.bounding_box(points)
        return [x0, y0, x1 + 1, y1 + 1]
    if kind not in OUTLINES:
        raise ValueError(f"shape_type is {assemble.quoted(kind)}, which is unknown")
    return shapes.bounding_box(points)


def _declared(listing: Listing, faults: list[Fault]) -> list[str]:
    """Returns the classes of the outermost labels.txt, if there is one."""
    files = [name for name in listing.with_suffix(LABELS) if name.rpartition("/")[2].lower() == LABELS]
    if not files:
        return []
    name = min(files, key=lambda name: (name.count("/"), name))
    classes = []
    for number, line in enumerate(assemble.read_text(name, listing, faults).splitlines(), start=1):
        if not line.strip() or NO_CLASS.fullmatch(line.strip()):
            continue
        try:
            classes.append(assemble.parse_class_name(line))
        except ValueError as error:
            faults.append(Fault("bad_annotation", f"{name}:{number}", str(error)))
    return classes
