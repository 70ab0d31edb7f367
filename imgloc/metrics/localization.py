"""Is the box right, alone and together with the class?

Definitions of the ILSVRC localization task (Russakovsky et al., 2015, arXiv:1409.0575, section 4.2):
the prediction is right where it meets any true box of its kind with IoU of at least the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgloc import boxes
from imgloc.types import FloatArray, Row

COLUMNS = ("label", "boxes", "top_labels", "pred_box")
THRESHOLDS = (30, 50, 70)  # percent of IoU


def best_iou(row: Row) -> float:
    """IoU of the predicted box with the true box that it meets best; NaN where the image has none."""
    truth = np.asarray(row["boxes"], dtype=np.float64).reshape(-1, 4)
    if not len(truth):
        return float("nan")
    prediction = np.broadcast_to(np.asarray(row["pred_box"], dtype=np.float64), truth.shape)
    return float(np.max(boxes.iou(prediction, truth)))


def per_row(rows: Sequence[Row]) -> dict[str, FloatArray]:
    """[n] each: `mean_iou`, `gt_known_T` (the box reaches IoU T %), `top1_loc_T` (and the class is right).

    NaN where the image has no true box.
    """
    iou_n = np.array([best_iou(row) for row in rows])
    right_n = np.array([float(row["top_labels"][0] == row["label"]) for row in rows])
    known = {f"gt_known_{t}": np.where(np.isnan(iou_n), np.nan, iou_n >= t / 100) for t in THRESHOLDS}
    top1 = {f"top1_loc_{t}": known[f"gt_known_{t}"] * right_n for t in THRESHOLDS}
    return {"mean_iou": iou_n, **known, **top1}
