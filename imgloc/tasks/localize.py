"""Localization: one class and one box for each image."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from imgloc import boxes
from imgloc.interfaces import Card, Curve, Detection, Overlay, ToPixels
from imgloc.tasks import classify
from imgloc.tasks.classify import Answer
from imgloc.types import FloatArray, Outputs, Row


def postprocess(outputs: Outputs, content_bx4: FloatArray) -> dict[str, Any]:
    """Predictions of `classify`, and the box (b, 4) of each image, cut at its edges."""
    box_bx4 = boxes.from_input(np.asarray(outputs["box"], np.float32), content_bx4, clip=True)
    return {**classify.postprocess(outputs, content_bx4), "box": box_bx4}


def prediction_columns(predictions: Mapping[str, Any], i: int) -> Row:
    """Columns of `classify`, and `pred_box`."""
    return {**classify.prediction_columns(predictions, i), "pred_box": [float(edge) for edge in predictions["box"][i]]}


def answer(row: Row, classes: Sequence[str], to_pixels: ToPixels) -> Answer:
    """The predicted class, its probability and the box."""
    return classify.answer(row, classes, to_pixels)._replace(box=to_pixels(row["pred_box"]))


def detections(row: Row) -> tuple[Detection, ...]:
    """The predicted box with its class; none where the answer is not finite."""
    return (Detection(row["top_labels"][0], row["top_scores"][0], row["pred_box"]),) if row.get("finite", True) else ()


def card(row: Row, name: Callable[[int], str]) -> Card:
    """The card of `classify` with the predicted box and its IoU."""
    base, iou = classify.card(row, name), best_iou(row)
    if not row.get("finite", True):
        return base
    notes = base.notes if np.isnan(iou) else (*base.notes, f"IoU {iou:.2f}")
    return dataclasses.replace(base, notes=notes, overlays=(*base.overlays, Overlay(row["pred_box"])))


def best_iou(row: Row, column: str = "pred_box") -> float:
    """IoU of the box of a column with the box of the image's class that it overlaps most; `pred_box` replaces a missing column.

    It is NaN where the image has no such box, and 0 for an answer that is not finite.
    """
    truth = boxes_of_own_class(row)
    if not len(truth):
        return float("nan")
    if not row.get("finite", True):
        return 0.0
    prediction = np.broadcast_to(np.asarray(row.get(column, row["pred_box"]), dtype=np.float64), truth.shape)
    return float(np.max(boxes.iou(prediction, truth)))


def boxes_of_own_class(row: Row) -> FloatArray:
    """The true boxes (n, 4) of the image's class."""
    own = [box for box, label in zip(row["boxes"], row["labels"], strict=True) if label == row["label"]]
    return np.asarray(own, dtype=np.float64).reshape(-1, 4)


def ious(rows: Sequence[Row], column: str = "pred_box") -> FloatArray:
    """[n]: `best_iou` of each row."""
    return np.array([best_iou(row, column) for row in rows])


def ious_with_class(rows: Sequence[Row]) -> FloatArray:
    """[n]: `best_iou` of each row whose class is right, -1 where the class is wrong."""
    iou_n = ious(rows)
    return np.where(np.isnan(iou_n) | (classify.is_correct(rows) > 0), iou_n, -1.0)


def gallery_score(rows: Sequence[Row]) -> FloatArray:
    """[n]: the IoU, less 1 where the class is wrong; the scores of `classify` if no row has a box."""
    iou_n = ious(rows)
    if np.isnan(iou_n).all():
        return classify.gallery_score(rows)
    return np.nan_to_num(iou_n) + classify.is_correct(rows) - 1


TASK = dataclasses.replace(
    classify.TASK,
    outputs={"logits": ("b", "k"), "box": ("b", 4)},
    postprocess=postprocess,
    prediction_columns=prediction_columns,
    answer=answer,
    detections=detections,
    card=card,
    gallery_score=gallery_score,
    headline_metrics=("top1", "mean_iou", "gt_known_loc_50", "top1_loc_50"),
    best_metric="top1_loc_50",
    curves=(Curve("Correct box", "IoU", ious), Curve("Correct box and class", "IoU", ious_with_class)),
    objects="learns one object of each image, the largest of the image's class; a box on another object of that class counts as correct",
    summary="the class and the box of each image",
    gallery_order="by IoU if the class is correct, else by IoU less 1",
)
