"""Accuracy of the classes of several objects, read from left to right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imgloc.interfaces import Metric, MetricFamily
from imgloc.tasks.read_sequence import correct_labels
from imgloc.types import FloatArray, Row


def per_row(rows: Sequence[Row]) -> Mapping[str, FloatArray]:
    """`sequence_accuracy` and `label_accuracy`, [n] each; NaN where the image has no object.

    Objects beyond the predicted places count as wrong; predicted places beyond the objects do not count.
    """
    correct = [correct_labels(row) for row in rows]
    return {
        "sequence_accuracy": np.array([float(all(each)) if each else np.nan for each in correct]),
        "label_accuracy": np.array([float(np.mean(each)) if each else np.nan for each in correct]),
    }


METRICS = MetricFamily(
    columns=("boxes", "labels", "pred_labels"),
    metrics=(
        Metric("sequence_accuracy", "Sequence accuracy", "share of images all of whose objects have the right class, from left to right"),
        Metric("label_accuracy", "Label accuracy", "share of an image's objects with the right class, averaged over images"),
    ),
    per_row=per_row,
)
