"""CSV tables with one line for each box. The header gives the meaning of the columns:

- `filename,width,height,class,xmin,ymin,xmax,ymax` (converted from LabelImg's XML), in pixels;
- `image_name,x_min,y_min,x_max,y_max,class_name`, in pixels, or similar names (x1, left, label, image_path ...), in any order;
- `ImageID,LabelName,XMin,XMax,YMin,YMax` of Open Images, in [0, 1];
- without a header: `image,x1,y1,x2,y2,class`, optionally followed by `image_width,image_height` (SKU-110K).

If no column has a name for the class, the only column whose name ends in type, class, label or category is the class (cell_type).
Columns are separated by commas, semicolons or tabs; with semicolons, numbers may have decimal commas. A first line `sep=;` is read.
A line whose columns for the box are all empty is an image without objects. Pixel numbers are edges unless `convention` names
another meaning. The split of an image is given by a column `split`, by the table's name (train_labels.csv) or, if neither gives
any, by the image's folder (train/a.jpg). A table that repeats the tables of splits (all_labels.csv) adds nothing. Images of one
value in the column `group` stay in one split. Boxes of groups of objects (Open Images' IsGroupOf) are crowds, as COCO's iscrowd.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imgloc import files
from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.listing import IMAGE_SUFFIXES, Listing, list_folder, parent_folders
from imgloc.data.annotated.splits import SPLIT_NAMES, split_of_name

COLUMNS = {
    "file": ("filename", "imagename", "imageid", "imagepath", "filepath", "image", "file", "path", "img", "imgname"),
    "class": ("class", "classname", "label", "labelname", "name", "category", "categoryname"),
    "x0": ("xmin", "x0", "left", "x1"), "y0": ("ymin", "y0", "top", "y1"),
    "x1": ("xmax", "right", "x2", "x1"), "y1": ("ymax", "bottom", "y2", "y1"),
    "width": ("width", "imagewidth", "imgwidth"), "height": ("height", "imageheight", "imgheight"),
    "split": ("split", "set", "subset", "usage"), "group": ("group", "groupid", "clip", "video", "sequence"),
    "crowd": ("isgroupof", "iscrowd"),
}  # fmt: skip
HEADERLESS = ("file", "x0", "y0", "x1", "y1", "class", "width", "height")
CORNERS = ("x0", "y0", "x1", "y1")
HEADER = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax", "split", "group")
DEFAULT_CLASS = "object"  # for tables without a column for the class
CLASS_ENDINGS = ("type", "class", "label", "category")  # of the name of a column that may be the class
DECIMAL_COMMA = re.compile(r"-?[0-9]+,[0-9]+")
SEPARATOR_LINE = re.compile(r"sep=([,;\t])[ \t]*\r?\n", re.IGNORECASE)  # which Excel writes and reads


@dataclass
class _Image:  # the lines of one table about one image
    where: str
    split: str
    width: int
    height: int
    group: str
    boxes: list[list[float]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    crowd_boxes: list[list[float]] = field(default_factory=list)
    crowd_names: list[str] = field(default_factory=list)


class _Dialect(NamedTuple):
    separator: str
    columns: Mapping[str, int]  # the index of each known column
    has_header: bool
    unused: Mapping[str, int] = {}  # other columns


def recognise(folder: Path | Listing) -> bool:
    """Returns whether a table has known columns."""
    listing = list_folder(folder)
    return any(_detect_dialect(listing.head(name)) for name in listing.with_suffix(".csv", ".tsv"))


def read(folder: Path | Listing, *, convention: str = "") -> AnnotatedFolder:
    """Reads all tables with known columns; boxes are in pixels with continuous edges, or in [0, 1] for Open Images.

    `convention` is the meaning of pixel numbers: inclusive_from_1, inclusive_from_0, edges_from_1 or edges (also ""). Classes are in
    alphabetical order. Raises UserError if the folder does not exist, and for an unknown convention.
    """
    assemble.from_convention(assemble.box_array([]), convention or "edges")
    listing = list_folder(folder)
    entries: list[Annotation] = []
    faults = list(listing.faults)
    for name in listing.with_suffix(".csv", ".tsv"):
        if listing.files[name][0] == 0:
            faults.append(Fault("bad_annotation", name, "the file is empty"))
        if _detect_dialect(listing.head(name)) is None:
            continue
        entries += _read_table(assemble.read_text(name, listing, faults), name, listing, convention or "edges", faults)
    if not any(entry.split for entry in entries):
        entries = [dataclasses.replace(entry, split=listing.split_of(entry.file)) for entry in entries]
    classes = sorted({label for entry in entries for label in entry.names})
    return assemble.merge_annotations("csv", classes, entries, faults)


def _detect_dialect(head: str) -> _Dialect | None:
    """Returns the layout of a table by its first line; None if its columns are unknown."""
    declared = SEPARATOR_LINE.match(head)
    first = head[declared.end() if declared else 0 :].split("\n", maxsplit=1)[0].strip("\r")
    separator = declared[1] if declared else max(",;\t", key=first.count)
    raw = [cell.strip().strip('"') for cell in first.split(separator)]
    cells = [re.sub("[^a-z0-9]", "", cell.lower()) for cell in raw]
    columns: dict[str, int] = {}
    for column, names in COLUMNS.items():
        for name in names:
            if name in cells and cells.index(name) not in columns.values():
                columns[column] = cells.index(name)
                break
    if {"file", *CORNERS} <= set(columns):
        likely = [i for i, cell in enumerate(cells) if cell.endswith(CLASS_ENDINGS) and i not in columns.values()]
        if "class" not in columns and len(likely) == 1:
            columns["class"] = likely[0]
        return _Dialect(separator, columns, True, {name: i for i, name in enumerate(raw) if name and i not in columns.values()})
    if len(raw) >= 6 and raw[0].lower().endswith(IMAGE_SUFFIXES) and all(re.fullmatch(r"-?[0-9.]*", cell) for cell in raw[1:5]):
        return _Dialect(separator, {column: index for index, column in enumerate(HEADERLESS[: len(raw)])}, has_header=False)
    return None


def _rows(text: str, separator: str, name: str, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """Yields the line number and the cells of each row that is not blank; rows that `csv` cannot read become faults."""
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


def _read_table(text: str, name: str, listing: Listing, convention: str, faults: list[Fault]) -> list[Annotation]:
    """Returns the annotations of one table."""
    dialect = _detect_dialect(text)
    if dialect is None:
        return []
    text = SEPARATOR_LINE.sub("\n", text, count=1) if SEPARATOR_LINE.match(text) else text
    folders = [f"{parent}/{images}".strip("/") for parent in parent_folders(name) for images in ("", "images")]
    split = split_of_name(name.rpartition("/")[2])
    is_open_images = re.match(r"(?=[^\n]*\bimageid\b)[^\n]*\blabelname\b", text.lstrip("\ufeff\r\n")[:4096].lower()) is not None
    relative = dialect.has_header and is_open_images
    images: dict[str, _Image] = {}
    groups: list[str] = []
    unused: dict[str, None] = {}  # columns with text
    unknown_splits: dict[str, list[str]] = {}
    header = dialect.has_header
    find_image = functools.cache(lambda file: listing.find_image(file, folders))
    for line, cells in _rows(text, dialect.separator, name, faults):
        if header:
            header = False
            continue
        where = f"{name}:{line}"
        row = {column: cells[index].strip() if index < len(cells) else "" for column, index in dialect.columns.items()}
        if "class" not in dialect.columns:
            unused |= dict.fromkeys(column for column, i in dialect.unused.items() if re.search("[^\\W\\d_]", "".join(cells[i : i + 1])))
        if dialect.separator == ";":
            row |= {key: row[key].replace(",", ".") for key in (*CORNERS, "width", "height") if DECIMAL_COMMA.fullmatch(row.get(key, ""))}
        file = find_image(row["file"])
        if file is None:
            empty = Fault("bad_annotation", where, "the name of the image is empty")
            faults.append(assemble.outside_fault(where, row["file"]) if row["file"] else empty)
            continue
        try:
            box, label = _box(row)
        except ValueError as error:
            faults.append(Fault("bad_annotation", where, str(error)))
            continue
        if file not in images:
            value = row.get("split", "")
            split_of_row = SPLIT_NAMES.get(value.lower(), "" if value else split)
            if value and not split_of_row:
                unknown_splits.setdefault(value, []).append(where)
            size = assemble.parse_side(row.get("width")), assemble.parse_side(row.get("height"))
            images[file] = _Image(where, split_of_row, *size, group=row.get("group", ""))
        if box and row.get("crowd", "").lower() in ("1", "true"):
            groups.append(where)
            images[file].crowd_boxes.append(box)
            images[file].crowd_names.append(label)
        elif box:
            images[file].boxes.append(box)
            images[file].names.append(label)
    faults += _table_faults(name, unused, groups, unknown_splits)
    return [_annotation(file, image, convention, relative) for file, image in images.items()]


def _annotation(file: str, image: _Image, convention: str, relative: bool) -> Annotation:
    boxes_nx4, crowds_mx4 = (
        boxes if relative else assemble.from_convention(boxes, convention)
        for boxes in map(assemble.box_array, (image.boxes, image.crowd_boxes))
    )
    return Annotation(
        file, boxes_nx4, tuple(image.names), relative=relative, width=image.width, height=image.height, split=image.split,
        group=image.group, where=image.where, crowd_boxes_mx4=crowds_mx4, crowd_names=tuple(image.crowd_names),
    )  # fmt: skip


def _table_faults(name: str, unused: Iterable[str], groups: list[str], unknown_splits: Mapping[str, list[str]]) -> Iterator[Fault]:
    """Yields the faults of a whole table: columns that may be the class, boxes of groups, and unknown names of splits."""
    if names := ", ".join(map(assemble.quoted, unused)):
        yield Fault("unused_column", name, f"no column is named after a class (such as `class`); not used are {names}")
    if groups:
        yield Fault("group_box", groups[0], f"{len(groups):,} boxes are of groups of objects")
    for value, places in unknown_splits.items():
        what = f"split {assemble.quoted(value)} of {len(places):,} images is unknown; possible: {', '.join(SPLIT_NAMES)}"
        yield Fault("unknown_split", places[0], what)


def _box(row: Mapping[str, str]) -> tuple[list[float], str]:
    """Returns the box and the class of a row; an empty box if the image has no object. Raises ValueError for bad values."""
    if not any(row[corner] for corner in CORNERS):
        return [], ""
    label = assemble.parse_class_name(row.get("class", DEFAULT_CLASS))
    return [assemble.parse_number(row[corner]) for corner in CORNERS], label


def write(annotated: AnnotatedFolder, folder: Path, *, convention: str = "edges") -> None:
    """Writes labels.csv, in pixels of `convention` with all digits; images are not copied.

    An image without objects gets one line without a box. Crowds need a further column, `iscrowd`.
    Raises UserError for boxes in [0, 1] if the image's size is unknown.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    flagged = any(entry.crowd_names for entry in annotated.images)
    table.writerow([*HEADER, *["iscrowd"] * flagged])
    for entry in annotated.images:
        pixels = np.concatenate([assemble.boxes_in_pixels(entry), assemble.crowds_in_pixels(entry)])
        boxes = assemble.to_convention(pixels, convention).tolist()
        crowds = (0,) * len(entry.names) + (1,) * len(entry.crowd_names)
        objects: list[tuple[str, list[object], int]] = list(zip(entry.names + entry.crowd_names, boxes, crowds, strict=True))
        for label, box, crowd in objects or [("", ["", "", "", ""], 0)]:
            cells = [entry.file, entry.width or "", entry.height or "", label, *box, entry.split, entry.group]
            table.writerow([*cells, *[crowd] * flagged])
    files.write_text(folder / "labels.csv", text.getvalue())
