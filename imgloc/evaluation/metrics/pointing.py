"""The pointing game for models with attention: whether fixations lie in a true box (Zhang et al., 2016, arXiv:1608.00507).

A fixation hits where the center of its window lies in a true box, the edges of the box included. The last fixation is the one
before the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imgloc import boxes
from imgloc.interfaces import Metric, MetricFamily
from imgloc.types import FloatArray, Row


def per_row(rows: Sequence[Row]) -> Mapping[str, FloatArray]:
    """`pointing_accuracy`, `last_fixation_iou` and `fixation_accuracy`, [n] each; NaN where the image has no true box."""
    values_nx3 = np.array([_of_row(row) for row in rows]).reshape(-1, 3)
    return dict(zip(("pointing_accuracy", "last_fixation_iou", "fixation_accuracy"), values_nx3.T, strict=True))


def _of_row(row: Row) -> tuple[float, float, float]:
    truth_nx4, fixations_gx4 = (np.asarray(row[column], dtype=np.float64).reshape(-1, 4) for column in ("boxes", "fixations"))
    if not len(truth_nx4) or not len(fixations_gx4):
        return float("nan"), float("nan"), float("nan")
    center_gx1x2 = (fixations_gx4[:, None, :2] + fixations_gx4[:, None, 2:]) / 2
    inside_gxnx2 = (truth_nx4[:, :2] <= center_gx1x2) & (center_gx1x2 <= truth_nx4[:, 2:])
    hit_g = np.asarray(inside_gxnx2.all(axis=-1).any(axis=-1), np.float64)
    iou = boxes.iou(np.broadcast_to(fixations_gx4[-1], truth_nx4.shape), truth_nx4).max()
    return float(hit_g[-1]), float(iou), float(hit_g.mean())


METRICS = MetricFamily(
    columns=("boxes", "fixations"),
    metrics=(
        Metric("pointing_accuracy", "Pointing accuracy", "share of images with a true box whose last fixation has its center in one"),
        Metric(
            "last_fixation_iou",
            "IoU of the last fixation",
            "IoU of the last window with the best true box, averaged over the images that have one",
            unit="IoU",
        ),
        Metric(
            "fixation_accuracy",
            "Fixation accuracy",
            "share of an image's fixations with their center in a true box, averaged over the images that have one",
        ),
    ),
    per_row=per_row,
)
