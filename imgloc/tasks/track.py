"""Tracking: the boxes of objects in every frame of a video, from their boxes in the first one. A row is a video."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imgloc import boxes
from imgloc.interfaces import Card, Curve, Overlay, Task, ToPixels
from imgloc.tracking import single_object
from imgloc.tracking.rows import as_lists, overlaps, paired_tracks
from imgloc.types import FloatArray, Outputs, Row, Tracks, Truth


class TrackedObject(NamedTuple):
    """The boxes and the probabilities of an object in each frame."""

    boxes: tuple[tuple[float, ...] | None, ...]  # None in frames without a box
    scores: tuple[float, ...]


def postprocess(outputs: Outputs, content_bx4: FloatArray) -> dict[str, Any]:
    """`tracks` (b, t, n, 4), cut at the edges of the frames, and `track_scores` (b, t, n); a score of 0 stands for no box."""
    tracks = boxes.from_input(np.asarray(outputs["tracks"], np.float32), content_bx4, clip=True)
    return {"tracks": tracks, "track_scores": np.asarray(outputs["track_scores"], np.float32)}


def truth_columns(truth: Truth) -> Row:
    """The columns of `imgloc.tracking.rows`, and `label`, the class of the image. An image is a video of one frame."""
    count = len(truth.boxes_nx4)
    one_frame = Tracks(truth.boxes_nx4[None], np.ones((1, count), np.bool_), np.ones((1, count), np.float32))
    tracks = truth.tracks or one_frame
    return {
        "width": truth.width, "height": truth.height, "label": truth.label, "started": count,
        "track_boxes": as_lists(np.asarray(tracks.boxes), np.asarray(tracks.present)),
        "track_visible": np.asarray(tracks.visible, np.float64).T.tolist(),
    }  # fmt: skip


def prediction_columns(predictions: Mapping[str, Any], i: int) -> Row:
    """`pred_tracks` and `pred_track_scores`, a list for each track."""
    scores_txn = predictions["track_scores"][i]
    return {
        "pred_tracks": as_lists(predictions["tracks"][i], scores_txn),
        "pred_track_scores": scores_txn.astype(np.float64).T.tolist(),
    }


def answer(row: Row, classes: Sequence[str], to_pixels: ToPixels) -> tuple[TrackedObject, ...]:
    """The predicted tracks of the objects that are followed."""
    pairs = zip(row["pred_tracks"], row["pred_track_scores"], strict=True)
    return tuple(TrackedObject(tuple(box and to_pixels(box) for box in track), tuple(scores)) for track, scores in pairs)


def answer_json(answer: tuple[TrackedObject, ...], upright: tuple[TrackedObject, ...] | None) -> dict[str, Any]:
    """`tracks`, a list of `boxes` and `scores` for each object."""
    return {"tracks": [_rounded(each) for each in answer]}


def _rounded(tracked: TrackedObject) -> dict[str, Any]:
    shown = [box and [round(edge, 3) for edge in box] for box in tracked.boxes]
    return {"boxes": shown, "scores": [round(score, 6) for score in tracked.scores]}


def object_ious(row: Row) -> FloatArray:
    """The IoU (n, t) of each followed object in each frame, NaN where it is absent."""
    return overlaps(*paired_tracks(row))


def success(rows: Sequence[Row]) -> FloatArray:
    """[n]: the success AUC of each video, the mean over its objects; NaN without objects."""
    of_objects = [[single_object.success_auc(iou_t) for iou_t in object_ious(row)] for row in rows]
    return np.array([np.nanmean(each) if len(each) and not np.isnan(each).all() else np.nan for each in of_objects])


def mean_iou(rows: Sequence[Row]) -> FloatArray:
    """[n]: the mean IoU of each video; NaN without objects."""
    every = [object_ious(row) for row in rows]
    return np.array([np.nanmean(iou_nxt) if (~np.isnan(iou_nxt)).any() else np.nan for iou_nxt in every])


def card(row: Row, name: Callable[[int], str]) -> Card:
    """The numbers of objects and frames, how many objects are lost, and the boxes in the first frame."""
    iou_nxt = object_ious(row)
    lost = sum(single_object.frames_until_lost(iou_t) < len(iou_t) for iou_t in iou_nxt)
    frames = len(row["track_boxes"][0]) if row["track_boxes"] else 0
    true = tuple(Overlay(track[0], f"{k}", "true") for k, track in enumerate(row["track_boxes"]) if track[0])
    objects = f"{len(iou_nxt)} object{'s' * (len(iou_nxt) != 1)}, {frames} frames"
    if not row.get("finite", True):
        return Card(objects, "no answer (NaN or infinite)", False, (), true)
    note = f"IoU {np.nanmean(iou_nxt):.2f}" if (~np.isnan(iou_nxt)).any() else "no box"
    return Card(objects, f"{lost} lost" if lost else "none lost", lost == 0, (note,), true)


TASK = Task(
    outputs={"tracks": ("b", "t", "n", 4), "track_scores": ("b", "t", "n")},
    optional_outputs={},
    postprocess=postprocess,
    truth_columns=truth_columns,
    prediction_columns=prediction_columns,
    answer=answer,
    answer_json=answer_json,
    card=card,
    gallery_score=lambda rows: np.nan_to_num(success(rows)),
    headline_metrics=("success_auc", "recovery", "robustness", "track_iou"),
    best_metric="success_auc",
    slicings=("attributes",),
    curves=(Curve("Mean overlap", "IoU", mean_iou),),
    learns_all_objects=True,
    summary="the boxes of objects in every frame of a video",
    gallery_order="by success AUC",
)
