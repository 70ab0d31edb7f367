"""Localization learned from labels alone: one class for each image, and the box of a score map of that class.

Boxes are needed to choose one number, the threshold of the maps. It is chosen on the validation split, as Choe et al., 2020,
arXiv:2001.07437, choose hyper-parameters on a small annotated split, and is stored with the model. Localization with a known class means
the box of the map of the true class, as in that paper.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imgloc import boxes
from imgloc.score_maps.at_thresholds import THRESHOLDS, boxes_at_thresholds
from imgloc.score_maps.levels import resized
from imgloc.tasks import classify, localize
from imgloc.types import FloatArray, Outputs, Row

DEFAULT_THRESHOLD = 0.2  # without validation: that of CAM (Zhou et al., 2016, arXiv:1512.04150, section 3.2)
IOUS = (0.3, 0.5, 0.7)  # at which boxes are counted to choose the threshold
DIGITS = 5  # of the edges of the boxes at all thresholds


def postprocess(outputs: Outputs, content_bx4: FloatArray) -> dict[str, Any]:
    """Predictions of `classify`, and `score_maps` with `content`, or the `box` (b, 4) of a predictor that has no maps."""
    predictions = classify.postprocess(outputs, content_bx4)
    if "score_maps" in outputs:
        return {**predictions, "score_maps": np.asarray(outputs["score_maps"]), "content": content_bx4}
    return {**predictions, "box": boxes.from_input(np.asarray(outputs["box"], np.float32), content_bx4, clip=True)}


def prediction_columns(predictions: Mapping[str, Any], i: int) -> Row:
    """Columns of `classify`, and `threshold_boxes`, the box of the predicted class at each of `THRESHOLDS`."""
    columns = classify.prediction_columns(predictions, i)
    return {**columns, "threshold_boxes": boxes_of_class(predictions, i, columns["top_labels"][0])}


def true_class_columns(predictions: Mapping[str, Any], i: int, label: int) -> Row:
    """`gt_known_threshold_boxes`, the box of the true class at each of `THRESHOLDS`."""
    return {"gt_known_threshold_boxes": boxes_of_class(predictions, i, label)}


def boxes_of_class(predictions: Mapping[str, Any], i: int, label: int) -> list[list[float]]:
    """The box of a class at each of `THRESHOLDS`, on the image; a single one if it depends on neither."""
    if "box" in predictions:
        return [[float(edge) for edge in predictions["box"][i]]]
    boxes_tx4 = boxes_at_thresholds(predictions["score_maps"][i, :, :, label])
    on_image_1xtx4 = boxes.from_input(boxes_tx4[None], np.asarray(predictions["content"][i : i + 1], np.float64), clip=True)
    listed: list[list[float]] = on_image_1xtx4[0].round(DIGITS).tolist()
    return listed


def score_map(predictions: Mapping[str, Any], i: int) -> FloatArray:
    """The map of the predicted class, resized and normalized as for its box; zeros where it is flat or not finite."""
    map_hxw = predictions["score_maps"][i, :, :, classify.prediction_columns(predictions, i)["top_labels"][0]]
    return resized(map_hxw if np.isfinite(map_hxw).all() else np.zeros_like(map_hxw))


def with_calibration(row: Row, calibration: Mapping[str, float]) -> Row:
    """The row with the calibration and the boxes at its threshold: `pred_box` and, where the true class is known, `gt_known_box`."""
    row = {**row, **calibration}
    row["pred_box"] = at_threshold(row["threshold_boxes"], row["map_threshold"])
    if "gt_known_threshold_boxes" in row:
        row["gt_known_box"] = at_threshold(row["gt_known_threshold_boxes"], row["map_threshold"])
    return row


def at_threshold(boxes_of_thresholds: Sequence[list[float]], threshold: float) -> list[float]:
    """The box of the nearest of `THRESHOLDS`."""
    nearest = int(np.abs(np.asarray(THRESHOLDS) - threshold).argmin())
    return boxes_of_thresholds[min(nearest, len(boxes_of_thresholds) - 1)]


def gt_known_ious(rows: Sequence[Row]) -> FloatArray:
    """[n, t]: for each of `THRESHOLDS`, the IoU of the box of the true class with the box of that class that it overlaps most.

    It is NaN where the image has no such box, and 0 for an answer that is not finite.
    """
    return np.array([_gt_known_ious(row) for row in rows]).reshape(-1, len(THRESHOLDS))


def _gt_known_ious(row: Row) -> FloatArray:
    truth_nx4 = localize.boxes_of_own_class(row)
    if not len(truth_nx4):
        return np.full(len(THRESHOLDS), np.nan)
    if not row.get("finite", True):
        return np.zeros(len(THRESHOLDS))
    pairs = np.broadcast_arrays(np.asarray(row["gt_known_threshold_boxes"], np.float64)[:, None], truth_nx4[None])
    return np.broadcast_to(boxes.iou(*pairs).max(axis=1), len(THRESHOLDS))


def calibrate(rows: Sequence[Row]) -> dict[str, float]:
    """`map_threshold`: the one with the highest share of correct boxes of the true class, averaged over `IOUS`; the lowest one of ties."""
    iou_nxt = gt_known_ious(rows)
    iou_nxt = iou_nxt[~np.isnan(iou_nxt).any(axis=1)]
    if not len(iou_nxt):
        return {"map_threshold": DEFAULT_THRESHOLD}
    correct_t = sum(np.count_nonzero(iou_nxt >= iou, axis=0) for iou in IOUS)  # integers, so that ties are exact
    return {"map_threshold": THRESHOLDS[int(np.argmax(correct_t))]}


TASK = dataclasses.replace(
    localize.TASK,
    outputs={"logits": ("b", "k"), "score_maps": ("b", "map height", "map width", "k")},
    baseline_outputs={"logits": ("b", "k"), "box": ("b", 4)},
    postprocess=postprocess,
    prediction_columns=prediction_columns,
    true_class_columns=true_class_columns,
    calibration={"map_threshold": DEFAULT_THRESHOLD},
    calibrate=calibrate,
    with_calibration=with_calibration,
    score_map=score_map,
    headline_metrics=("top1", "mean_iou", "gt_known_loc_50", "top1_loc_50"),
    objects="learns one class for each image; boxes choose the threshold of the score maps on validation, and are not learned",
    summary="the class of each image, and its box from a score map that is learned from labels alone",
)
