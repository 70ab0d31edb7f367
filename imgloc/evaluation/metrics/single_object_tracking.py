"""How well objects are followed from the first frame of a video; see `imgloc.tracking.single_object`.

The value of a video is the mean over its objects.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from imgloc.interfaces import Metric, MetricFamily
from imgloc.tracking import single_object
from imgloc.tracking.rows import COLUMNS, overlaps, paired_tracks
from imgloc.types import FloatArray, Row

METRICS_OF_OBJECTS = (
    Metric("success_auc", "Success AUC", "share of frames whose IoU exceeds a threshold, averaged over 21 thresholds from 0 to 1 (OTB)"),
    Metric("precision_20", "P@20", "share of frames in which the centers of the boxes are at most 20 pixels apart (OTB)"),
    Metric(
        "normalized_precision", "Normalized precision",
        "share of frames whose centers are at most a share of the box apart, averaged over shares from 0 to 0.5 (TrackingNet)",
    ),
    Metric("track_iou", "IoU", "mean IoU over frames", unit="IoU"),
    Metric("visible_iou", "IoU while visible", "mean IoU over frames in which at least a quarter of the object is visible", unit="IoU"),
    Metric("accuracy", "Accuracy", "mean IoU before the object is lost (VOT)", unit="IoU"),
    Metric("robustness", "Robustness", "share of frames before the IoU is at most 0.1 for 10 frames in a row (VOT)"),
    Metric("failures", "Failures", "share of objects that are lost", higher_is_better=False, worst=1.0),
    Metric("survival", "Occlusions survived", "share of occlusions with an IoU of at least 0.5 in the first frame after them"),
    Metric("recovery", "Occlusions recovered", "share of occlusions with an IoU of at least 0.5 within 10 frames after them"),
)  # fmt: skip


def per_row(rows: Sequence[Row]) -> Mapping[str, FloatArray]:
    """[n] of each metric."""
    values = np.array([_of_video(row) for row in rows]).reshape(len(rows), len(METRICS_OF_OBJECTS))
    return {metric.key: values[:, place] for place, metric in enumerate(METRICS_OF_OBJECTS)}


def _of_video(row: Row) -> FloatArray:
    """The metrics of a video, means over its objects."""
    truth_nxtx4, found_nxtx4 = paired_tracks(row)
    iou_nxt = overlaps(truth_nxtx4, found_nxtx4)
    visible = row["track_visible"]
    every = [
        _of_object(truth_tx4, found_tx4, iou_t, np.asarray(visible_t, np.float64))
        for truth_tx4, found_tx4, iou_t, visible_t in zip(truth_nxtx4, found_nxtx4, iou_nxt, visible, strict=False)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of no object is NaN
        return np.asarray(np.nanmean(np.array(every).reshape(-1, len(METRICS_OF_OBJECTS)), axis=0))


def _of_object(truth_tx4: FloatArray, found_tx4: FloatArray, iou_t: FloatArray, visible_t: FloatArray) -> list[float]:
    pixels_t, normalized_t = single_object.center_errors(truth_tx4, found_tx4)
    seen_t = iou_t[(visible_t >= single_object.HIDDEN) & ~np.isnan(iou_t)]
    counted_t = iou_t[~np.isnan(iou_t)]
    mean = functools.partial(np.mean, dtype=np.float64)
    return [
        single_object.success_auc(iou_t),
        single_object.precision(pixels_t),
        single_object.normalized_precision(normalized_t),
        float(mean(counted_t)) if len(counted_t) else np.nan,
        float(mean(seen_t)) if len(seen_t) else np.nan,
        *single_object.accuracy_and_robustness(iou_t),
        float(single_object.frames_until_lost(iou_t) < len(iou_t)),
        *single_object.survived_and_recovered(iou_t, visible_t),
    ]


METRICS = MetricFamily(columns=COLUMNS, metrics=METRICS_OF_OBJECTS, per_row=per_row)
