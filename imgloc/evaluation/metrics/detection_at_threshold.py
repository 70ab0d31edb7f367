"""Precision, recall, F1 and the error of the count at the score from which detections are used; see `imgloc.detection.at_threshold`.

That score is `score_threshold` of a row, which the task chooses on the validation split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imgloc.detection.at_threshold import count_at_threshold
from imgloc.detection.objects import COLUMNS
from imgloc.interfaces import Metric, MetricFamily
from imgloc.types import FloatArray, Row


def statistics(rows: Sequence[Row]) -> Mapping[str, FloatArray]:
    """[n, 2] of each metric, a numerator and a denominator."""
    right_n, used_n, true_n = count_at_threshold(rows)
    return {
        "precision": np.stack([right_n, used_n], axis=-1),
        "recall": np.stack([right_n, true_n], axis=-1),
        "f1": np.stack([2 * right_n, used_n + true_n], axis=-1),
        "count_error": np.stack([np.abs(used_n - true_n), np.ones(len(rows))], axis=-1),
    }


METRICS = MetricFamily(
    columns=COLUMNS,
    metrics=(
        Metric("precision", "Precision", "share of detections with at least the threshold score that match an object with an IoU of 50 %"),
        Metric("recall", "Recall", "share of objects that a detection with at least the threshold score matches with an IoU of 50 %"),
        Metric("f1", "F1", "harmonic mean of precision and recall"),
        Metric(
            "count_error",
            "Count error",
            "absolute difference between the numbers of detections with at least the threshold score and of objects, averaged over images",
            unit="objects",
            higher_is_better=False,
        ),
    ),
    statistics=statistics,
)
