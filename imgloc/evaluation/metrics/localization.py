"""Accuracy of boxes, alone and together with the class.

Thresholds of the ILSVRC localization task (Russakovsky et al., 2015, arXiv:1409.0575, section 4.2): a box is correct if its IoU with
any true box of the image's class is at least the threshold. All boxes of the image count, not only those that training keeps.
Rows of predictors whose box depends on the class have a column `gt_known_box`, the box for the true class. It is equal to `pred_box`
where the predicted class is correct, so that `top1_loc_T` needs no other rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imgloc.interfaces import Metric, MetricFamily
from imgloc.tasks.classify import is_correct
from imgloc.tasks.localize import ious
from imgloc.types import FloatArray, Row

THRESHOLDS = (30, 50, 70)  # per cent of IoU


def per_row(rows: Sequence[Row]) -> Mapping[str, FloatArray]:
    """`mean_iou`, `gt_known_loc_T` and `top1_loc_T`, [n] each; NaN where the image has no true box of its class."""
    iou_n, correct_n = ious(rows), is_correct(rows)
    known_iou_n = ious(rows, "gt_known_box")
    known = {t: np.where(np.isnan(iou_n), np.nan, known_iou_n >= t / 100) for t in THRESHOLDS}
    return {
        "mean_iou": iou_n,
        **{f"gt_known_loc_{t}": known[t] for t in THRESHOLDS},
        **{f"top1_loc_{t}": known[t] * correct_n for t in THRESHOLDS},
    }


METRICS = MetricFamily(
    columns=("label", "boxes", "labels", "top_labels", "pred_box"),
    metrics=(
        Metric(
            "mean_iou",
            "Mean IoU",
            "IoU of the predicted box with the best true box of the image's class, averaged over the images that have one",
            unit="IoU",
        ),
        *(
            Metric(
                f"gt_known_loc_{t}",
                f"GT-known localization, IoU \u2265 {t / 100:g}",
                f"share of images with a true box whose predicted box (for the true class, if a box depends on the class) has an IoU of at "
                f"least {t} %, for any predicted class",
            )
            for t in THRESHOLDS
        ),
        *(
            Metric(
                f"top1_loc_{t}",
                f"Top-1 localization, IoU \u2265 {t / 100:g}",
                f"share of images with a true box whose class is correct and whose predicted box has an IoU of at least {t} %",
            )
            for t in THRESHOLDS
        ),
    ),
    per_row=per_row,
)
