"""Data sets of the Hugging Face Hub, as folders: Parquet files with encoded images, or images with a metadata file
(https://huggingface.co/docs/datasets/image_dataset, https://huggingface.co/docs/hub/datasets-image).

A Parquet file (data/train-00000-of-00002.parquet) has a column `image` and a column `objects`; each image is read from its row. Beside
images, metadata.jsonl, metadata.csv or metadata.parquet have `file_name` and `objects`. `objects` is a dict of lists, or a list of
dicts, with `bbox` and `category` (or similar names); both may also be columns themselves. A number in `category` is named by the
features in the schema of the Parquet file or in README.md. Boxes with `iscrowd` are crowds, as in COCO. The split is that of the
file's name or folder.

A bbox is left, top, width and height in pixels, as in COCO; `convention` names another meaning. Parquet files require pyarrow
(pip install 'imgloc[parquet]').
"""

from __future__ import annotations

import ast
import contextlib
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from imgloc import boxes as box_arithmetic
from imgloc.data.annotated import assemble, json_files
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.features import CATEGORY, OBJECTS, readme_names, schema_names
from imgloc.data.annotated.json_files import as_list, as_mapping
from imgloc.data.annotated.listing import Listing, list_folder, parent_folders
from imgloc.data.annotated.splits import split_of_name
from imgloc.data.images import parquet_images
from imgloc.errors import UserError, one_line
from imgloc.types import FloatArray

IMAGE = ("image", "img", "picture")
FILE = ("file_name", "image_path", "image_file")
BBOX = ("bbox", "bboxes", "boxes", "box")
CROWD = ("iscrowd", "is_crowd")
METADATA = ("metadata.jsonl", "metadata.csv")
DEFAULT_CLASS = "object"  # of objects without a category
BATCH = 1000  # rows that are converted at once
#: What the four numbers are, and whether they are shares of the sides.
CONVENTIONS = {
    "xywh": ("xywh", False), "xyxy": ("corners", False), "cxcywh": ("center", False),
    "normalized_xywh": ("xywh", True), "normalized_xyxy": ("corners", True), "normalized_cxcywh": ("center", True),
}  # fmt: skip
TO_CORNERS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "xywh": box_arithmetic.from_coco_xywh, "corners": lambda boxes_nx4: boxes_nx4, "center": box_arithmetic.from_yolo_cxcywh,
}  # fmt: skip


class _Row(NamedTuple):
    where: str
    source: str  # the file with the row
    image: str  # the name of the image in a Parquet file; "": `values` name a file
    values: Mapping[str, object]
    names: Mapping[int, str]  # of classes


class _Object(NamedTuple):
    numbers: list[float]
    label: str
    crowd: bool


def recognise(folder: Path | Listing) -> bool:
    """Returns whether a Parquet file has columns of images and boxes, or a metadata file names images and their boxes."""
    listing = list_folder(folder)
    if any(_names_boxes(listing.head(name, 2**16)) for name in _metadata(listing)):
        return True
    return any(_is_parquet(name, listing) for name in listing.with_suffix(parquet_images.SUFFIX))


def read(folder: Path | Listing, *, convention: str = "") -> AnnotatedFolder:
    """Reads all such files of a folder. Classes are in the order of their numbers, or else in alphabetical order.

    `convention` is what a bbox is: xywh (also ""), xyxy or cxcywh in pixels, or `normalized_` and one of these. Raises UserError if the
    folder does not exist, for an unknown convention, and for Parquet files without pyarrow.
    """
    meaning, relative = assemble.choose_convention(convention, CONVENTIONS)
    listing = list_folder(folder)
    faults = list(listing.faults)
    entries: list[Annotation] = []
    readme = readme_names(listing, faults)
    rows = [*_parquet_rows(listing, readme, faults), *_metadata_rows(listing, readme, faults)]
    tables = {row.source: row.names for row in rows}
    for row in rows:
        file = row.image or _image_file(row, listing, faults)
        if not file:
            continue
        objects = list(_objects(row, faults))
        parts = [[each for each in objects if each.crowd == crowd] for crowd in (False, True)]
        boxes_nx4, crowds_mx4 = (TO_CORNERS[meaning](assemble.box_array([each.numbers for each in part])) for part in parts)
        names, crowd_names = (tuple(each.label for each in part) for part in parts)
        split = split_of_name(row.source.rpartition("/")[2]) or listing.split_of(row.source) or listing.split_of(file)
        width, height = assemble.parse_side(row.values.get("width")), assemble.parse_side(row.values.get("height"))
        entries.append(
            Annotation(
                file, boxes_nx4, names, relative=relative, width=width, height=height, split=split, where=row.where,
                crowd_boxes_mx4=crowds_mx4, crowd_names=crowd_names,
            )
        )  # fmt: skip
    declared = [names[number] for names in tables.values() for number in sorted(names)]
    used = {label for entry in entries for label in (*entry.names, *entry.crowd_names) if label}
    ordered = sorted(used, key=lambda name: (int(name) if name.isascii() and name.isdigit() else 0, name))
    return assemble.merge_annotations("huggingface", dict.fromkeys([*declared, *ordered]), entries, faults, meaning=meaning)


def _metadata(listing: Listing) -> list[str]:
    return [name for name in listing.with_suffix(*METADATA) if name.rpartition("/")[2].lower() in METADATA]


def _names_boxes(head: str) -> bool:
    """Returns whether a text names image files and boxes, as JSON keys or as columns."""
    return all(re.search(rf"(^|[\"',])({'|'.join(names)})[\"',\s]", head) for names in (FILE, (*OBJECTS, *BBOX)))


def _first(values: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """Returns the first of `keys` that a mapping has, "" for none."""
    return next((key for key in keys if key in values), "")


def _is_parquet(name: str, listing: Listing) -> bool:
    """Returns whether a Parquet file has columns of images and of boxes; True for one that cannot be read without pyarrow."""
    if listing.head(name, 4) != "PAR1":
        return False
    try:
        columns = dict.fromkeys(parquet_images.open_parquet(listing.root / name).schema_arrow.names)
    except UserError:
        return True  # reading reports that pyarrow is missing
    except Exception:  # a damaged file is reported by reading
        return True
    return bool(_first(columns, (*IMAGE, *FILE)) and _first(columns, (*OBJECTS, *BBOX)))


def _parquet_rows(listing: Listing, readme: Mapping[int, str], faults: list[Fault]) -> Iterator[_Row]:
    """Yields the rows of all Parquet files with images and boxes, without the encoded images."""
    for name in listing.with_suffix(parquet_images.SUFFIX):
        if not _is_parquet(name, listing):
            continue
        try:
            yield from _rows_of_parquet(name, listing, readme)
        except UserError:
            raise
        except Exception as error:  # pyarrow raises errors of many types for damaged files
            faults.append(Fault("bad_file", name, f"it cannot be read as Parquet: {one_line(error, lines=1)[:200]}"))


def _rows_of_parquet(name: str, listing: Listing, readme: Mapping[int, str]) -> Iterator[_Row]:
    file = parquet_images.open_parquet(listing.root / name)
    schema = file.schema_arrow
    names = schema_names(schema.metadata or {}) or readme
    image = _first(dict.fromkeys(schema.names), IMAGE)
    kind = str(schema.field(image).type) if image else ""
    embedded = "binary" in kind and not _is_empty(file, f"{image}.bytes")
    needed = [column for column in schema.names if column in (*FILE, *OBJECTS, *BBOX, *CATEGORY, *CROWD, "width", "height")]
    needed += [] if embedded or not image else [f"{image}.path" if kind.startswith("struct") else image]
    count = 0
    for batch in file.iter_batches(batch_size=BATCH, columns=needed, use_threads=False):
        for values in batch.to_pylist():
            where = f"{name} rows[{count}]"
            yield _Row(where, name, parquet_images.member(name, image, count) if embedded else "", values, names)
            count += 1


def _is_empty(file: Any, column: str) -> bool:
    """Returns whether a column has no value in any row, by the statistics of the file."""
    groups = [file.metadata.row_group(group) for group in range(file.metadata.num_row_groups)]
    chunks = [group.column(i) for group in groups for i in range(group.num_columns) if group.column(i).path_in_schema == column]
    return bool(chunks) and all(chunk.statistics is not None and chunk.statistics.null_count == chunk.num_values for chunk in chunks)


def _metadata_rows(listing: Listing, readme: Mapping[int, str], faults: list[Fault]) -> Iterator[_Row]:
    """Yields the rows of all files metadata.jsonl and metadata.csv."""
    for name in _metadata(listing):
        if not _names_boxes(listing.head(name, 2**16)):
            continue
        text = assemble.read_text(name, listing, faults)
        if name.lower().endswith(".csv"):
            table = csv.reader(io.StringIO(text, newline=""))
            header = next(table, [])
            lines = ((table.line_num, dict(zip(header, map(_parse_cell, cells), strict=False))) for cells in table if any(cells))
            try:
                yield from (_Row(f"{name}:{number}", name, "", values, readme) for number, values in lines)
            except csv.Error as error:
                faults.append(Fault("bad_annotation", f"{name}:{table.line_num}", str(error)))
            continue
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.strip():
                continue
            try:
                values = json_files.parse_json(line)
                if not isinstance(values, dict):
                    raise ValueError("the line is not a JSON object")
            except ValueError as error:
                faults.append(Fault("bad_annotation", f"{name}:{number}", str(error)))
                continue
            yield _Row(f"{name}:{number}", name, "", values, readme)


def _parse_cell(cell: str) -> object:
    """Returns the value of a cell that holds JSON or Python's form of it, else the text."""
    if not cell.lstrip().startswith(("{", "[")):
        return cell
    for parse in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # the errors of literal_eval
            return parse(cell)
    return cell


def _image_file(row: _Row, listing: Listing, faults: list[Fault]) -> str | None:
    """Returns the image file that a row names; None if it names none, or one outside the folder."""
    value = row.values.get(_first(row.values, (*FILE, *IMAGE)))
    path = as_mapping(value).get("path") if isinstance(value, dict) else value
    if not isinstance(path, str) or not path:
        faults.append(Fault("bad_annotation", row.where, "it names no image file (`file_name`)"))
        return None
    file = listing.find_image(path, parent_folders(row.source))
    if file is None:
        faults.append(assemble.outside_fault(row.where, path))
    return file


def _objects(row: _Row, faults: list[Fault]) -> Iterator[_Object]:
    """Yields the objects of a row; those with bad values become faults."""
    for number, (box, category, crowd) in enumerate(_values(row, faults), start=1):
        try:
            if not isinstance(box, list) or len(box) != 4:
                raise ValueError(f"bbox is {assemble.quoted(box)}; it must have 4 numbers")
            numbers, label = [assemble.parse_number(part) for part in box], _class_name(category, row.names)
        except ValueError as error:
            faults.append(Fault("bad_annotation", row.where, f"object {number}: {error}"))
            continue
        if not label:
            faults.append(Fault("unknown_class", row.where, f"category {assemble.quoted(category)} is not declared"))
        yield _Object(numbers, label, crowd in (True, 1))


def _values(row: _Row, faults: list[Fault]) -> list[tuple[object, ...]]:
    """Returns the box, the category and the mark of a crowd of each object of a row; None for what it does not have."""
    key = _first(row.values, OBJECTS)
    value = row.values.get(key) if key else row.values
    if not isinstance(value, dict):
        if value is not None and not isinstance(value, list):
            faults.append(Fault("bad_annotation", row.where, f"`{key}` is {assemble.quoted(value)}, neither a dict of lists nor a list"))
        items = [as_mapping(item) for item in as_list(value)]
        return [tuple(item.get(_first(item, keys)) for keys in (BBOX, CATEGORY, CROWD)) for item in items]
    boxes = value.get(_first(value, BBOX))
    columns = [value.get(_first(value, keys)) for keys in (BBOX, CATEGORY, CROWD)]
    lists = [[None] * len(as_list(boxes)) if column is None else as_list(column) for column in columns]
    if not isinstance(boxes, (list, type(None))) or len({len(column) for column in lists}) > 1:
        what = f"it has {len(as_list(boxes)):,} boxes and {len(lists[1]):,} categories, or another number of values"
        faults.append(Fault("bad_annotation", row.where, what))
        return []
    return list(zip(*lists, strict=True))


def _class_name(category: object, names: Mapping[int, str]) -> str:
    """Returns the class of a category, "" for a number without a name. Raises ValueError if it is neither text nor a number."""
    if isinstance(category, int) and not isinstance(category, bool):
        return names.get(category, "") if names else str(category) if 0 <= category < 2**31 else ""
    return DEFAULT_CLASS if category is None else assemble.parse_class_name(category)
