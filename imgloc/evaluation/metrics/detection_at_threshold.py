"""Precision, recall, F1 and the error of the count at the score from which detections are used.

That score is `score_threshold` of a row, which the task chooses on the validation split, and `DEFAULT` without it. A
detection is right if COCO's rule matches it at an IoU of 50 % with an object of its class; classes are pooled. Detections of difficult
objects and of crowds do not count, and neither do these objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imgloc.evaluation.detection.matching import greedy
from imgloc.evaluation.detection.objects import COLUMNS, Objects, from_rows
from imgloc.interfaces import Metric, MetricFamily
from imgloc.types import BoolArray, FloatArray, Row

IOU = 0.5
DEFAULT = 0.5  # threshold of the score


def statistics(rows: Sequence[Row]) -> Mapping[str, FloatArray]:
    """[n, 2] of each metric, a numerator and a denominator."""
    objects = from_rows(rows)
    right_d, counts_d = _matched(objects)
    image_d, images = objects.detections.image_d, objects.images
    threshold_n = np.array([row.get("score_threshold", DEFAULT) for row in rows], np.float64)
    used_d = counts_d & (objects.detections.score_d >= threshold_n[image_d])
    right_n, used_n = (np.bincount(image_d[mask_d], minlength=images).astype(np.float64) for mask_d in (used_d & right_d, used_d))
    true_n = np.bincount(objects.truths.image_g[~objects.truths.left_out_g], minlength=images).astype(np.float64)
    return {
        "precision": np.stack([right_n, used_n], axis=-1),
        "recall": np.stack([right_n, true_n], axis=-1),
        "f1": np.stack([2 * right_n, used_n + true_n], axis=-1),
        "count_error": np.stack([np.abs(used_n - true_n), np.ones(images)], axis=-1),
    }


def _matched(objects: Objects) -> tuple[BoolArray, BoolArray]:
    """Whether each detection [d] is right, and whether it counts. Higher scores choose first, so no threshold changes this."""
    matches = greedy(objects, np.array([IOU]), objects.truths.left_out_g[None])
    matched_d, left_out_d = matches.matched_axtxd[0, 0], matches.left_out_axtxd[0, 0]
    return matched_d & ~left_out_d, ~left_out_d


METRICS = MetricFamily(
    columns=COLUMNS,
    metrics=(
        Metric("precision", "Precision", "share of the detections from the score threshold on that find an object with an IoU of 50 %"),
        Metric("recall", "Recall", "share of the objects that a detection from the score threshold on finds with an IoU of 50 %"),
        Metric("f1", "F1", "harmonic mean of precision and recall"),
        Metric(
            "count_error",
            "Count error",
            "difference between the numbers of detections from the score threshold on and of objects, averaged over images",
            unit="objects",
            higher_is_better=False,
        ),
    ),
    statistics=statistics,
)
