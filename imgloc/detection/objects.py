"""True and predicted objects of many images as flat arrays, read from rows.

Boxes are those of COCO, (left, top, width, height) in pixels: IoUs and areas then have the bits of pycocotools. Images whose size is
not known have boxes in [0, 1] instead, which changes no IoU.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from imgloc.errors import UserError
from imgloc.types import BoolArray, FloatArray, IntArray, Row

#: The columns that rows need. Others are optional; see `from_rows`.
DEFAULT_THRESHOLD = 0.5  # of the score, for rows that have none
COLUMNS = ("boxes", "labels", "detected_boxes", "detected_labels", "detected_scores")


class Truths(NamedTuple):
    """True objects g of all images, in the order of the images."""

    image_g: IntArray
    class_g: IntArray  # an index of `Objects.labels_k`
    boxes_gx4: FloatArray
    area_g: FloatArray  # in pixels
    crowd_g: BoolArray  # one box for many objects (COCO's iscrowd): it is not expected, and detections in it do not count
    difficult_g: BoolArray  # neither expected nor wrong (VOC)

    @property
    def left_out_g(self) -> BoolArray:
        """Whether no detection is expected: crowds and difficult objects."""
        return self.crowd_g | self.difficult_g


class Detections(NamedTuple):
    """Predicted objects d of all images: images in their order, then classes, then falling scores; ties keep the order of the row."""

    image_d: IntArray
    class_d: IntArray  # an index of `Objects.labels_k`
    boxes_dx4: FloatArray
    score_d: FloatArray


class Objects(NamedTuple):
    """The objects of n images. `labels_k` are the labels of the classes that occur in any of them."""

    images: int
    labels_k: IntArray
    truths: Truths
    detections: Detections
    sized_n: BoolArray  # whether areas in pixels are known


def score_threshold(row: Row) -> float:
    """Return the score from which detections of a row are used: that of its column, or DEFAULT_THRESHOLD without it."""
    return float(row.get("score_threshold", DEFAULT_THRESHOLD))


def from_rows(rows: Sequence[Row]) -> Objects:
    """The objects of rows of the task `detect`. Raises UserError for columns of different lengths and for values that are not finite.

    Optional columns: `difficult` [bool] beside `boxes`; `crowd_boxes` and `crowd_labels`; `finite`, where False the row counts as
    one without detections. Rows of COCO files have all of their objects in two other columns, as the file has them:
    `annotations` [label, left, top, width, height, area, iscrowd] and `results` [label, left, top, width, height, score].
    """
    scale_nx4 = np.array([(row.get("width") or 0, row.get("height") or 0) * 2 for row in rows], np.float64).reshape(-1, 4)
    sized_n = (scale_nx4 > 0).all(axis=1) | np.array(["annotations" in row for row in rows], np.bool_)
    scale_nx4 = np.where((scale_nx4 > 0).all(axis=1, keepdims=True), scale_nx4, 1.0)
    answered = [row if row.get("finite", True) else {} for row in rows]
    truth_gx8 = _in_order([
        _joined(rows, scale_nx4, ("boxes", "labels", "difficult"), crowd=0.0),
        _joined(rows, scale_nx4, ("crowd_boxes", "crowd_labels", ""), crowd=1.0),
        _as_written(rows, "annotations", 7),
    ])  # fmt: skip
    found_dx8 = _in_order([
        _joined(answered, scale_nx4, ("detected_boxes", "detected_labels", "detected_scores"), crowd=0.0),
        _as_written(answered, "results", 6),
    ])  # fmt: skip
    labels_k = np.unique(np.concatenate([truth_gx8[:, 1], found_dx8[:, 1]]))
    truth_class_g, class_d = (np.searchsorted(labels_k, table[:, 1]) for table in (truth_gx8, found_dx8))
    order_d = np.lexsort((-found_dx8[:, 6], class_d, found_dx8[:, 0]))
    found_dx8, class_d = found_dx8[order_d], class_d[order_d]
    return Objects(
        len(rows),
        labels_k.astype(np.int64),
        Truths(
            truth_gx8[:, 0].astype(np.int64), truth_class_g, np.ascontiguousarray(truth_gx8[:, 2:6]), truth_gx8[:, 8],
            truth_gx8[:, 7] > 0, truth_gx8[:, 6] > 0,
        ),
        Detections(found_dx8[:, 0].astype(np.int64), class_d, np.ascontiguousarray(found_dx8[:, 2:6]), found_dx8[:, 6].copy()),
        sized_n,
    )  # fmt: skip


def _in_order(tables: Sequence[FloatArray]) -> FloatArray:
    """One table of objects [o, 9]: image, label, box, score or difficult, crowd, area; sorted by image, ties in the order of tables."""
    table_ox9 = np.concatenate(tables)
    return table_ox9[np.argsort(table_ox9[:, 0], kind="stable")]


def _joined(rows: Sequence[Row], scale_nx4: FloatArray, columns: tuple[str, str, str], *, crowd: float) -> FloatArray:
    """The table of the objects in columns of boxes, of labels, and of another value (0 where the column is missing)."""
    lists, labels, values = ([row.get(name) or () for row in rows] for name in columns)
    for row, *parts in zip(rows, lists, labels, values, strict=True):
        if len(parts[0]) != len(parts[1]) or len(parts[2]) not in (len(parts[0]), *((0,) if columns[2] != "detected_scores" else ())):
            counts = ", ".join(f"{len(part)} {name}" for part, name in zip(parts, columns, strict=True) if name)
            raise UserError(f"row '{row.get('id')}' must have as many of each, got {counts}")
        if not {4}.issuperset(map(len, parts[0])):
            raise UserError(f"row '{row.get('id')}' has a box in {columns[0]} that is not x0, y0, x1, y1")
    image_o = np.repeat(np.arange(len(rows)), [len(each) for each in lists])
    edges_ox4 = np.fromiter(chain.from_iterable(chain.from_iterable(lists)), np.float64).reshape(-1, 4)
    low_ox2, size_ox2 = edges_ox4[:, :2], np.maximum(edges_ox4[:, 2:] - edges_ox4[:, :2], 0.0)
    boxes_ox4 = np.concatenate([low_ox2, size_ox2], axis=1) * scale_nx4[image_o]
    value_o = np.fromiter(chain.from_iterable(each or (0.0,) * len(of) for each, of in zip(values, lists, strict=True)), np.float64)
    label_o = np.fromiter(chain.from_iterable(labels), np.float64)
    table = [image_o, label_o, *boxes_ox4.T, value_o, np.full(len(image_o), crowd), boxes_ox4[:, 2] * boxes_ox4[:, 3]]
    return _finite(np.stack(table, axis=1), rows)


def _as_written(rows: Sequence[Row], column: str, width: int) -> FloatArray:
    """The table of the objects of COCO files."""
    lists = [row.get(column) or () for row in rows]
    image_o = np.repeat(np.arange(len(rows)), [len(each) for each in lists])
    value_oxw = np.fromiter(chain.from_iterable(chain.from_iterable(lists)), np.float64).reshape(-1, width)
    table_ox9 = np.zeros((len(image_o), 9))
    table_ox9[:, 0], table_ox9[:, 1:6] = image_o, value_oxw[:, :5]
    if width == 7:
        table_ox9[:, 8], table_ox9[:, 7] = value_oxw[:, 5], value_oxw[:, 6]
    else:
        table_ox9[:, 6] = value_oxw[:, 5]
    return _finite(table_ox9, rows)


def _finite(table_ox9: FloatArray, rows: Sequence[Row]) -> FloatArray:
    wrong = np.flatnonzero(~np.isfinite(table_ox9).all(axis=1))
    if len(wrong):
        raise UserError(f"row '{rows[int(table_ox9[wrong[0], 0])].get('id')}' has an object with a box or score that is not finite")
    return table_ox9
