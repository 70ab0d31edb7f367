"""CSV tables, a line a box, as they are found in the wild. The header says what the columns are:

- `filename,width,height,class,xmin,ymin,xmax,ymax` (as made from LabelImg's XML), in pixels;
- `image_name,x_min,y_min,x_max,y_max,class_name`, in pixels, and near spellings (x1, left, label, image_path ...), in any order;
- `ImageID,LabelName,XMin,XMax,YMin,YMax` of Open Images, in [0, 1];
- no header: `image,x1,y1,x2,y2,class`, with `image_width,image_height` behind it (SKU-110K). All but the first left empty: no object.

Pixel numbers are taken as edges, as tools write them; say `convention` where they are not. A table whose name tells a split
(train_labels.csv) gives it, and so does a column `split`; where none does, the folders of images do (train/a.jpg). A table that
repeats what those say (all_labels.csv) adds nothing. A column `group` says what no split may tear apart.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgloc import files
from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import Annotated, Annotation, Fault
from imgloc.data.annotated.listing import IMAGE_SUFFIXES, SPLIT_NAMES, Listing, folders_of, list_folder, split_of_folders, split_of_name

COLUMNS = {
    "file": ("filename", "imagename", "imageid", "imagepath", "filepath", "image", "file", "path", "img", "imgname"),
    "class": ("class", "classname", "label", "labelname", "name", "category", "categoryname"),
    "x0": ("xmin", "x0", "left", "x1"), "y0": ("ymin", "y0", "top", "y1"),
    "x1": ("xmax", "right", "x2", "x1"), "y1": ("ymax", "bottom", "y2", "y1"),
    "width": ("width", "imagewidth", "imgwidth"), "height": ("height", "imageheight", "imgheight"),
    "split": ("split", "set", "subset", "usage"), "group": ("group", "groupid", "clip", "video", "sequence"),
}  # fmt: skip
HEADERLESS = ("file", "x0", "y0", "x1", "y1", "class", "width", "height")
CORNERS = ("x0", "y0", "x1", "y1")
HEADER = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax", "split", "group")
ONLY_CLASS = "object"  # of tables that have no column for it


@dataclass
class _Image:
    """What the lines of one table say of one image."""

    where: str
    split: str
    width: int
    height: int
    group: str
    boxes: list[list[float]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


def recognise(folder: Path | Listing) -> bool:
    """Whether there is a table with columns that are known."""
    listing = list_folder(folder)
    return any(_dialect(listing.head(name)) for name in listing.ending(".csv", ".tsv"))


def read(folder: Path | Listing, *, convention: str = "") -> Annotated:
    """All tables of a folder whose columns are known; boxes in pixels, with continuous edges, or in [0, 1] from Open Images.

    `convention` says what pixel numbers mean: inclusive_from_1, inclusive_from_0 or edges ("" too). Classes are in alphabetical
    order. Raises UserError for no such folder.
    """
    assemble.from_convention(assemble.box_array([]), convention or "edges")
    listing = list_folder(folder)
    entries: list[Annotation] = []
    faults = list(listing.faults)
    for name in listing.ending(".csv", ".tsv"):
        if listing.files[name][0] == 0:
            faults.append(Fault("bad_annotation", name, "the file is empty"))
        if _dialect(listing.head(name)) is None:
            continue
        try:
            text = listing.read_text(name)
        except ValueError as error:
            faults.append(Fault("bad_annotation", name, str(error)))
            continue
        entries += _table(text, name, listing, convention or "edges", faults)
    if not any(entry.split for entry in entries):
        entries = [dataclasses.replace(entry, split=split_of_folders(entry.file)) for entry in entries]
    classes = sorted({label for entry in entries for label in entry.names})
    return assemble.assembled("csv", classes, entries, faults)


def _dialect(head: str) -> tuple[str, Mapping[str, int], bool] | None:
    """What separates columns, where each known one stands, and whether there is a header; None where they are not known."""
    first = head.lstrip("\ufeff").split("\n", maxsplit=1)[0].strip("\r")
    separator = max(",;\t", key=first.count)
    cells = [re.sub("[^a-z0-9]", "", cell.lower()) for cell in first.split(separator)]
    found: dict[str, int] = {}
    for column, names in COLUMNS.items():
        for name in names:
            if name in cells and cells.index(name) not in found.values():
                found[column] = cells.index(name)
                break
    if {"file", *CORNERS} <= set(found):
        return separator, found, True
    raw = [cell.strip().strip('"') for cell in first.split(separator)]
    if len(raw) >= 6 and raw[0].lower().endswith(IMAGE_SUFFIXES) and all(re.fullmatch(r"-?[0-9.]*", cell) for cell in raw[1:5]):
        return separator, {column: place for place, column in enumerate(HEADERLESS[: len(raw)])}, False
    return None


def _lines(text: str, separator: str, name: str, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """The lines of a table with their numbers; those that csv cannot read are faults."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            faults.append(Fault("bad_annotation", f"{name}:{reader.line_num}", str(error)))
            continue
        if any(cell.strip() for cell in cells):
            yield reader.line_num, cells


def _table(text: str, name: str, listing: Listing, convention: str, faults: list[Fault]) -> list[Annotation]:
    """The annotations of one table."""
    dialect = _dialect(text)
    if dialect is None:
        return []
    separator, places, header = dialect
    near = [f"{above}/{images}".strip("/") for above in folders_of(name) for images in ("", "images")]
    split = split_of_name(name.rpartition("/")[2])
    relative = header and re.match(r"(?=[^\n]*\bimageid\b)[^\n]*\blabelname\b", text.lstrip("\ufeff")[:4096].lower()) is not None
    found: dict[str, _Image] = {}
    paths: dict[str, str | None] = {}
    for line, cells in _lines(text, separator, name, faults):
        if header and line == 1:
            continue
        where = f"{name}:{line}"
        cell = {column: cells[place].strip() if place < len(cells) else "" for column, place in places.items()}
        said = cell["file"]
        if said not in paths:
            paths[said] = listing.find(said, near)
        file = paths[said]
        if file is None:
            kind = "outside_folder" if said else "bad_annotation"
            faults.append(Fault(kind, where, f"{assemble.brief(said)} is no file of the data's folder"))
            continue
        try:
            box, label = _box(cell)
        except ValueError as error:
            faults.append(Fault("bad_annotation", where, str(error)))
            continue
        if file not in found:
            own = SPLIT_NAMES.get(cell.get("split", "").lower(), split)
            size = assemble.side(cell.get("width")), assemble.side(cell.get("height"))
            found[file] = _Image(where, own, *size, group=cell.get("group", ""))
        if box:
            found[file].boxes.append(box)
            found[file].names.append(label)
    return [_annotation(file, image, relative, convention) for file, image in found.items()]


def _box(cell: Mapping[str, str]) -> tuple[list[float], str]:
    """A line's box and class; no numbers for a line that says that an image has no object. Raises ValueError."""
    if not any(cell[corner] for corner in CORNERS):
        return [], ""
    label = assemble.class_name(cell.get("class", ONLY_CLASS))
    return [assemble.number(cell[corner]) for corner in CORNERS], label


def _annotation(file: str, image: _Image, relative: bool, convention: str) -> Annotation:
    boxes = assemble.box_array(image.boxes)
    return Annotation(
        file=file,
        boxes_nx4=boxes if relative else assemble.from_convention(boxes, convention),
        names=tuple(image.names),
        relative=relative,
        width=image.width,
        height=image.height,
        split=image.split,
        group=image.group,
        where=image.where,
    )


def write(annotated: Annotated, folder: Path, *, convention: str = "edges") -> None:
    """Annotations as labels.csv, in pixels of `convention`, every digit of them; images are not copied.

    An image without objects gets a line without a box. Raises UserError for boxes in [0, 1] of an unknown size.
    """
    made = io.StringIO(newline="")
    table = csv.writer(made, lineterminator="\n")
    table.writerow(HEADER)
    for entry in annotated.images:
        boxes: list[list[Any]] = assemble.to_convention(assemble.in_pixels(entry), convention).tolist()
        rows = [(label, *box) for label, box in zip(entry.names, boxes, strict=True)] or [("", "", "", "", "")]
        for label, *box in rows:
            table.writerow([entry.file, entry.width or "", entry.height or "", label, *box, entry.split, entry.group])
    files.write_text(folder / "labels.csv", made.getvalue())
