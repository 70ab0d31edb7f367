"""Detection: any number of objects for each image, each with a class, a score and a box."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imgloc import boxes
from imgloc.interfaces import Card, Detection, Overlay, Task, ToPixels
from imgloc.tasks.classify import Answer
from imgloc.types import BoolArray, FloatArray, IntArray, Outputs, Row, Truth

MATCH_IOU = 0.5  # of a detection with the object that it finds


class Objects(NamedTuple):
    """The answer for one image: its objects by falling score."""

    objects: tuple[Answer, ...]  # those whose score is at least the threshold
    score_threshold: float


class Matches(NamedTuple):
    """Which detections of an image find which of its objects."""

    object_d: IntArray  # the index of the object that each detection finds, -1 for none
    ignored_d: BoolArray  # whether a detection counts neither as right nor as wrong
    counted_n: BoolArray  # whether an object counts: those that are difficult do not


def postprocess(outputs: Outputs, content_bx4: FloatArray) -> dict[str, Any]:
    """`boxes` (b, n, 4), cut at the edges of the image, `scores` (b, n) and `labels` (b, n); a score of 0 stands for no object."""
    boxes_bxnx4 = boxes.from_input(np.asarray(outputs["boxes"], np.float32), content_bx4, clip=True)
    scores_bxn = np.where(boxes.area(boxes_bxnx4) > 0, np.asarray(outputs["scores"], np.float32), 0)  # some lie beside a letterboxed image
    return {"boxes": boxes_bxnx4, "scores": scores_bxn, "labels": np.asarray(outputs["labels"]).astype(np.int64)}


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
    """All detections, whatever their score; none where the answer is not finite."""
    columns = zip(row["detected_labels"], row["detected_scores"], row["detected_boxes"], strict=True)
    return tuple(Detection(*each) for each in columns) if row.get("finite", True) else ()


def answer(row: Row, classes: Sequence[str], to_pixels: ToPixels) -> Objects:
    """The objects whose score is at least the threshold of the row."""
    shown = (Answer(classes[each.label], each.score, to_pixels(each.box)) for each in TASK.shown(row))
    return Objects(tuple(shown), row["score_threshold"])


def answer_json(answer: Objects, upright: Objects | None) -> dict[str, Any]:
    """`objects`, a list of `class`, `score` and `box`, with `box_upright` in a rotated image; and `score_threshold`."""
    listed = [{"class": each.label, "score": round(each.score, 6), "box": _rounded(each)} for each in answer.objects]
    if upright is not None:
        listed = [{**each, "box_upright": _rounded(turned)} for each, turned in zip(listed, upright.objects, strict=True)]
    return {"objects": listed, "score_threshold": answer.score_threshold}


def _rounded(answer: Answer) -> list[float]:
    return [round(edge, 3) for edge in answer.box or ()]


def match(row: Row, least: float = 0.0) -> Matches:
    """The objects that the detections with a score of at least `least` find, at an IoU of at least MATCH_IOU with one of their class.

    Detections choose in the order of their scores; each takes the object that it overlaps most of those that are left, as COCO's
    evaluation does. A detection that finds nothing but a difficult object, or lies in a crowd, is ignored.
    """
    truth_nx4, label_n = np.asarray(row["boxes"], np.float64).reshape(-1, 4), np.asarray(row["labels"], np.int64)
    difficult_n = np.asarray(row.get("difficult") or np.zeros(len(label_n)), np.bool_)
    found = [each for each in detections(row) if each.score >= least]
    box_dx4 = np.asarray([each.box for each in found], np.float64).reshape(-1, 4)
    label_d = np.asarray([each.label for each in found], np.int64)
    iou_dxn = np.where(label_d[:, None] == label_n, boxes.iou(box_dx4[:, None], truth_nx4[None]), 0.0)
    object_d, ignored_d = np.full(len(found), -1), _in_crowd(row, box_dx4, label_d)
    free_n = np.ones(len(label_n), np.bool_)
    for d in np.flatnonzero((iou_dxn >= MATCH_IOU).any(axis=1)):
        for counted_n in (~difficult_n, difficult_n):  # a difficult object is the last choice
            overlap_n = np.where(free_n & counted_n, iou_dxn[d], 0.0)
            if overlap_n.max() >= MATCH_IOU:
                object_d[d] = overlap_n.argmax()
                free_n[object_d[d]] = False
                break
    is_found_d = object_d >= 0
    ignored_d = np.where(is_found_d, difficult_n[object_d] if len(label_n) else False, ignored_d)
    return Matches(object_d, ignored_d, ~difficult_n)


def _in_crowd(row: Row, box_dx4: FloatArray, label_d: IntArray) -> BoolArray:
    """[d]: whether at least MATCH_IOU of the area of a detection lies in a crowd of its class."""
    crowd_mx4 = np.asarray(row.get("crowd_boxes") or [], np.float64).reshape(-1, 4)
    label_m = np.asarray(row.get("crowd_labels") or [], np.int64)
    inside_dxm = boxes.intersection(box_dx4[:, None], crowd_mx4[None]) / np.maximum(boxes.area(box_dx4), 1e-12)[:, None]
    inside: BoolArray = ((inside_dxm >= MATCH_IOU) & (label_d[:, None] == label_m)).any(axis=1)
    return inside


def choose_threshold(rows: Sequence[Row]) -> dict[str, float]:
    """`score_threshold`: the one with the highest F1 over all classes, the highest of several; its default without any right detection.

    F1 is 2 TP / (2 TP + FP + FN). Matches do not depend on the threshold, because detections choose in the order of their scores.
    """
    matched = [(row, match(row)) for row in rows]
    objects = sum(int(each.counted_n.sum()) for _, each in matched)
    score = np.concatenate([np.asarray(row["detected_scores"] if row.get("finite", True) else [], np.float64) for row, _ in matched])
    right = np.concatenate([each.object_d >= 0 for _, each in matched])
    kept = np.flatnonzero(~np.concatenate([each.ignored_d for _, each in matched]))
    order = kept[np.argsort(-score[kept], kind="stable")]
    score, right_so_far = score[order], np.cumsum(right[order])
    if not len(order) or not right_so_far[-1]:
        return dict(TASK.calibration)
    f1 = 2 * right_so_far / (np.arange(1, len(order) + 1) + objects)
    f1 = np.where(np.append(score[1:] != score[:-1], True), f1, -1.0)  # detections of one score come and go together
    return {"score_threshold": float(score[f1.argmax()])}


def mistakes(row: Row) -> tuple[int, int]:
    """The number of missed objects and of false detections at the threshold of the row."""
    matches = match(row, row["score_threshold"])
    is_right_d = matches.object_d >= 0
    missed = matches.counted_n.sum() - (is_right_d & ~matches.ignored_d).sum()
    return int(missed), int((~is_right_d & ~matches.ignored_d).sum())


def card(row: Row, name: Callable[[int], str]) -> Card:
    """The true and the detected objects by class, and the numbers of missed and false ones, at the threshold of the row."""
    true = tuple(Overlay(box, name(label), "true") for box, label in zip(row["boxes"], row["labels"], strict=True))
    if not row.get("finite", True):
        return Card(_counts(row["labels"], name), "no answer (NaN or infinite)", False, (), true)
    shown, (missed, false) = TASK.shown(row), mistakes(row)
    notes = (f"{missed} missed", f"{false} false")
    predicted = tuple(Overlay(each.box, f"{name(each.label)} {each.score:.0%}") for each in shown)
    return Card(
        _counts(row["labels"], name), _counts((each.label for each in shown), name), missed + false == 0, notes, (*true, *predicted)
    )


def _counts(labels: Iterable[int], name: Callable[[int], str]) -> str:
    counts = collections.Counter(labels)
    return ", ".join(f"{count} {name(label)}" for label, count in sorted(counts.items())) or "no objects"


def gallery_score(rows: Sequence[Row]) -> FloatArray:
    """[n]: minus the number of missed and false objects at the threshold of the rows."""
    return -np.array([float(sum(mistakes(row))) for row in rows])


TASK = Task(
    outputs={"boxes": ("b", "n", 4), "scores": ("b", "n"), "labels": ("b", "n")},
    optional_outputs={},
    postprocess=postprocess,
    truth_columns=truth_columns,
    prediction_columns=prediction_columns,
    calibration={"score_threshold": 0.5},
    calibrate=choose_threshold,
    answer=answer,
    answer_json=answer_json,
    detections=detections,
    card=card,
    gallery_score=gallery_score,
    headline_metrics=("ap", "ap50", "f1"),
    best_metric="ap",
    slicings=("classes", "attributes"),
    learns_all_objects=True,
    objects="learns up to data.max_objects of them, the largest ones",
    summary="the classes and the boxes of all objects in each image",
    gallery_order="by the number of missed and false objects",
)
