"""Rows of detections from files of COCO: an instances file, and a file of results (https://cocodataset.org/#format-data, #format-results).

Areas and boxes are those of the files, so that scores have the values of pycocotools. Files may begin with a byte order mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

import msgspec

from imgloc.data.annotated.assemble import quoted
from imgloc.data.annotated.encoding import MARKS, decode_text
from imgloc.detection.objects import COLUMNS
from imgloc.errors import UserError
from imgloc.types import Row

Id: TypeAlias = int | Annotated[float, msgspec.Meta(multiple_of=1)] | str
Box: TypeAlias = tuple[float, float, float, float]  # left, top, width, height in pixels
T = TypeVar("T")
MAX_COORDINATE = 1e100  # in pixels: areas, and sums of them, are finite


class _Image(msgspec.Struct):
    id: Id


class _Annotation(msgspec.Struct):
    image_id: Id
    category_id: Id
    bbox: Box
    area: float | None = None
    iscrowd: int | bool = 0


class _Category(msgspec.Struct):
    id: Id
    name: str


class _Instances(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


class _Result(msgspec.Struct):
    image_id: Id
    category_id: Id
    bbox: Box
    score: float


class Truth(msgspec.Struct):
    """The content of an instances file: its class names, and a row without detections for each image, both in the order of ids."""

    path: Path
    classes: tuple[str, ...]
    labels: Mapping[Id, int]  # by category id
    rows: Mapping[Id, Row]  # by image id


def read_truth(path: Path) -> Truth:
    """Returns the content of an instances file. Raises UserError for a file that pycocotools could not evaluate."""
    content = _decoded(path, _Instances, "an object with images, annotations and categories")
    names = {category.id: category.name for category in content.categories}
    _check_unique(path, "categories", [category.id for category in content.categories])
    _check_unique(path, "images", [image.id for image in content.images])
    if not content.images:
        raise UserError(f"{path} has no images; expected at least one")
    labels = {number: label for label, number in enumerate(sorted(names, key=_order))}
    empty = dict.fromkeys(COLUMNS, ())
    rows: dict[Id, Row] = {
        # Not str: 1 and "1" are two images.
        number: {"id": repr(number), "group": repr(number), **empty, "annotations": [], "results": ()}
        for number in sorted((image.id for image in content.images), key=_order)
    }
    for index, each in enumerate(content.annotations):
        label = _check_object(each, f"{path}: annotations[{index}]", labels, rows)
        area = each.bbox[2] * each.bbox[3] if each.area is None else each.area
        rows[each.image_id]["annotations"].append((label, *each.bbox, area, each.iscrowd))
    return Truth(path, tuple(names[number] for number in labels), labels, rows)


def read_rows(path: Path, truth: Truth, score_threshold: float | None = None) -> list[Row]:
    """Returns the rows of all images of the truth with the detections of a file of results.

    Raises UserError for results of unknown images or categories, and for boxes and scores that are not numbers.
    """
    results: dict[Id, list[tuple[float, ...]]] = {number: [] for number in truth.rows}
    for index, each in enumerate(_decoded(path, list[_Result], "a list of objects with image_id, category_id, bbox and score")):
        label = _check_object(each, f"{path}: [{index}]", truth.labels, truth.rows)
        results[each.image_id].append((label, *each.bbox, each.score))
    threshold = {} if score_threshold is None else {"score_threshold": score_threshold}
    return [{**row, **threshold, "results": results[number]} for number, row in truth.rows.items()]


def _decoded(path: Path, kind: type[T], expected: str) -> T:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; expected a JSON file") from None
    try:
        if content.startswith(tuple(mark for mark, _ in MARKS)):
            content = decode_text(content)[0].encode()
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise UserError(f"{path}: {error}; expected {expected}") from error
    except (ValueError, RecursionError) as error:
        hint = "; NaN and Infinity are not JSON values" if b"NaN" in content or b"Infinity" in content else ""
        raise UserError(f"{path} is not JSON: {error}{hint}") from error


def _check_unique(path: Path, name: str, ids: Sequence[Id]) -> None:
    if len(set(ids)) < len(ids):
        seen: set[Id] = set()
        twice = next(number for number in ids if number in seen or seen.add(number))  # type: ignore[func-returns-value]
        raise UserError(f"{path} has two {name} with the id {quoted(twice)}; ids must be unique")


def _check_object(each: _Annotation | _Result, where: str, labels: Mapping[Id, int], images: Iterable[Id]) -> int:
    """Returns the label of an object."""
    if each.image_id not in images:
        raise UserError(f"{where} has the image_id {quoted(each.image_id)}, which no image of the truth has")
    if each.category_id not in labels:
        raise UserError(f"{where} has the category_id {quoted(each.category_id)}, which no category of the truth has")
    if min(each.bbox[2:]) < 0:
        raise UserError(f"{where} has the bbox {list(each.bbox)}; width and height must be at least 0")
    if max(map(abs, each.bbox)) > MAX_COORDINATE:
        raise UserError(f"{where} has the bbox {list(each.bbox)}; numbers must be at most {MAX_COORDINATE:g}")
    return labels[each.category_id]


def _order(number: Id) -> tuple[bool, Id]:
    """Numbers before texts."""
    return isinstance(number, str), number
