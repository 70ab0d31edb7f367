"""Detection: any number of objects for each image, each with a class, a score and a box."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imgloc import boxes
from imgloc.detection.at_threshold import best_threshold, count_at_threshold
from imgloc.detection.objects import DEFAULT_THRESHOLD, score_threshold
from imgloc.interfaces import Card, Detection, Overlay, Task, ToPixels
from imgloc.tasks.classify import Answer
from imgloc.types import FloatArray, Outputs, Row, Truth


class DetectedObjects(NamedTuple):
    """The answer for one image: its objects by falling score."""

    objects: tuple[Answer, ...]  # those whose score is at least the threshold
    score_threshold: float


def postprocess(outputs: Outputs, content_bx4: FloatArray) -> dict[str, Any]:
    """`boxes` (b, n, 4), cut at the edges of the image, `scores` (b, n) and `labels` (b, n); a score of 0 stands for no object."""
    boxes_bxnx4 = boxes.from_input(np.asarray(outputs["boxes"], np.float32), content_bx4, clip=True)
    scores_bxn = np.where(boxes.area(boxes_bxnx4) > 0, np.asarray(outputs["scores"], np.float32), 0)  # some lie beside a letterboxed image
    return {"boxes": boxes_bxnx4, "scores": scores_bxn, "labels": np.asarray(outputs["labels"]).astype(np.int64)}


def partial_to_image(outputs: Outputs, content_bx4: FloatArray) -> dict[str, Any]:
    """`boxes` (b, s, n, 4), cut at the edges of the image, for a model that detects objects one by one."""
    return {"boxes": boxes.from_input(np.asarray(outputs["boxes"], np.float32), content_bx4, clip=True)}


def truth_columns(truth: Truth) -> Row:
    """`width` and `height` in pixels, `boxes` and `labels`; where there are any, `difficult`, `crowd_boxes` and `crowd_labels`."""
    row: Row = {"width": truth.width, "height": truth.height, "boxes": _as_lists(truth.boxes_nx4), "labels": truth.labels_n.tolist()}
    if truth.difficult_n is not None and truth.difficult_n.any():
        row["difficult"] = truth.difficult_n.tolist()
    if len(truth.crowd_boxes_mx4):
        row |= {"crowd_boxes": _as_lists(truth.crowd_boxes_mx4), "crowd_labels": truth.crowd_labels_m.tolist()}
    return row


def prediction_columns(predictions: Mapping[str, Any], i: int) -> Row:
    """`detected_boxes`, `detected_labels` and `detected_scores`, by falling score."""
    score_n = predictions["scores"][i]
    order = np.argsort(-score_n, kind="stable")[: np.count_nonzero(score_n > 0)]
    return {
        "detected_boxes": _as_lists(predictions["boxes"][i][order]),
        "detected_labels": predictions["labels"][i][order].tolist(),
        "detected_scores": score_n[order].astype(float).tolist(),
    }


def _as_lists(boxes_nx4: FloatArray) -> list[list[float]]:
    listed: list[list[float]] = np.asarray(boxes_nx4, np.float64).reshape(-1, 4).tolist()
    return listed


def detections(row: Row) -> tuple[Detection, ...]:
    """All detections, also those below the score threshold; none where the answer is not finite."""
    columns = zip(row["detected_labels"], row["detected_scores"], row["detected_boxes"], strict=True)
    return tuple(Detection(*each) for each in columns) if row.get("finite", True) else ()


def answer(row: Row, classes: Sequence[str], to_pixels: ToPixels) -> DetectedObjects:
    """The objects whose score is at least the threshold of the row."""
    shown = (Answer(classes[each.label], each.score, to_pixels(each.box)) for each in TASK.shown(row))
    return DetectedObjects(tuple(shown), score_threshold(row))


def answer_json(answer: DetectedObjects, upright: DetectedObjects | None) -> dict[str, Any]:
    """`objects`, a list of `class`, `score` and `box`, with `box_upright` in a rotated image; and `score_threshold`."""
    listed = [{"class": each.label, "score": round(each.score, 6), "box": _rounded(each)} for each in answer.objects]
    if upright is not None:
        listed = [{**each, "box_upright": _rounded(turned)} for each, turned in zip(listed, upright.objects, strict=True)]
    return {"objects": listed, "score_threshold": answer.score_threshold}


def _rounded(answer: Answer) -> list[float]:
    return [round(edge, 3) for edge in answer.box or ()]


def mistakes(rows: Sequence[Row]) -> tuple[FloatArray, FloatArray]:
    """The numbers [n] of missed objects and of false detections at the threshold of each row."""
    right_n, used_n, true_n = count_at_threshold(rows)
    return true_n - right_n, used_n - right_n


def card(row: Row, name: Callable[[int], str]) -> Card:
    """The true and the detected objects by class, and the numbers of missed and false ones, at the threshold of the row."""
    true = tuple(Overlay(box, name(label), "true") for box, label in zip(row["boxes"], row["labels"], strict=True))
    if not row.get("finite", True):
        return Card(_counts(row["labels"], name), "no answer (NaN or infinite)", False, (), true)
    shown, ((missed,), (false,)) = TASK.shown(row), mistakes([row])
    notes = (f"{missed:.0f} missed", f"{false:.0f} false")
    predicted = tuple(Overlay(each.box, f"{name(each.label)} {each.score:.0%}") for each in shown)
    return Card(
        _counts(row["labels"], name), _counts((each.label for each in shown), name), missed == false == 0, notes, (*true, *predicted)
    )


def _counts(labels: Iterable[int], name: Callable[[int], str]) -> str:
    counts = collections.Counter(labels)
    return ", ".join(name(label) + f" \u00d7{count}" * (count > 1) for label, count in sorted(counts.items())) or "no objects"


def gallery_score(rows: Sequence[Row]) -> FloatArray:
    """[n]: minus the number of missed and false objects at the threshold of the rows."""
    missed_n, false_n = mistakes(rows)
    return -(missed_n + false_n)


TASK = Task(
    outputs={"boxes": ("b", "n", 4), "scores": ("b", "n"), "labels": ("b", "n")},
    optional_outputs={},
    postprocess=postprocess,
    partial_to_image=partial_to_image,
    truth_columns=truth_columns,
    prediction_columns=prediction_columns,
    calibration={"score_threshold": DEFAULT_THRESHOLD},
    calibrate=lambda rows: {"score_threshold": best_threshold(rows)},
    answer=answer,
    answer_json=answer_json,
    detections=detections,
    card=card,
    gallery_score=gallery_score,
    headline_metrics=("ap", "ap50", "f1"),
    best_metric="ap",
    slicings=("classes", "object_counts", "attributes"),
    learns_all_objects=True,
    summary="the classes and the boxes of all objects in each image",
    gallery_order="by the number of missed and false objects",
)
