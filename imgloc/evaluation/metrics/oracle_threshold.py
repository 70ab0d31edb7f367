"""Localization with a known class at the best threshold of the score maps on the scored rows themselves: an oracle.

This is MaxBoxAcc of Choe et al., 2020, arXiv:2001.07437, section 4.1, with the thresholds of `imgloc.score_maps.at_thresholds`. The
threshold is chosen with the boxes that it is scored on, so that the number is an upper bound of what a chosen threshold reaches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imgloc.interfaces import Metric, MetricFamily, Weighted
from imgloc.tasks.localize_from_labels import gt_known_ious
from imgloc.types import BoolArray, FloatArray, Row

IOUS = (30, 50, 70)  # per cent


def weighted(rows: Sequence[Row]) -> Weighted:
    """`oracle_gt_known_loc_T` for each T of `IOUS`."""
    iou_nxt = gt_known_ious(rows)
    known_n = np.logical_not(np.isnan(iou_nxt).any(axis=1))
    correct: dict[int, BoolArray] = {iou: np.nan_to_num(iou_nxt, nan=-1.0) >= iou / 100 for iou in IOUS}

    def values(weights_rxn: FloatArray) -> Mapping[str, FloatArray]:
        total_r = weights_rxn @ known_n.astype(np.float64)
        best = {iou: (weights_rxn @ correct_nxt.astype(np.float64)).max(axis=1) for iou, correct_nxt in correct.items()}
        shares = {iou: np.where(total_r > 0, best_r / np.where(total_r > 0, total_r, 1), np.nan) for iou, best_r in best.items()}
        return {f"oracle_gt_known_loc_{iou}": share_r for iou, share_r in shares.items()}

    return Weighted(values, {f"oracle_gt_known_loc_{iou}": int(known_n.sum()) for iou in IOUS})


METRICS = MetricFamily(
    columns=("label", "boxes", "labels", "gt_known_threshold_boxes"),
    metrics=tuple(
        Metric(
            f"oracle_gt_known_loc_{iou}",
            f"GT-known localization, IoU \u2265 {iou / 100:g}, oracle threshold",
            f"share of images with a true box whose box of the true class has an IoU of at least {iou} %, at the threshold of the score "
            "maps that is best on these images",
        )
        for iou in IOUS
    ),
    weighted=weighted,
)
