"""Metrics of score maps over a split, with bootstrap samples: MaxBoxAcc, MaxBoxAccV2, top-1 localization and PxAP.

The definitions are those of Choe et al., 2020, arXiv:2001.07437. The best threshold is chosen on the scored images themselves, in each
bootstrap sample again.
"""

from __future__ import annotations

import numpy as np

from imgloc.evaluation.statistics import BootstrapValues
from imgloc.score_maps.localization import pixel_average_precision
from imgloc.types import BoolArray, FloatArray, IntArray

IOUS = (30, 50, 70)  # per cent
SAMPLES_AT_ONCE = 100


def ious_reached(iou_t: FloatArray) -> IntArray:
    """Returns how many of the thresholds IOUS each IoU reaches."""
    return np.searchsorted(np.array(IOUS) / 100, iou_t, side="right").astype(np.uint8)


def correct_counts(reached_nxt: IntArray) -> dict[str, IntArray]:
    """Returns, for each IoU, the number of images at each threshold [t] whose box reaches it."""
    return {str(iou): (reached_nxt > place).sum(axis=0) for place, iou in enumerate(IOUS)}


def best_shares(key: str, reached_nxt: IntArray, weights_rxn: FloatArray) -> dict[str, BootstrapValues]:
    """Returns the highest share over thresholds of images that reach an IoU, `KEY_IOU`, and the mean over IoUs, `KEY_mean`."""
    changes_t = np.append(True, (reached_nxt[:, 1:] != reached_nxt[:, :-1]).any(axis=0))
    distinct_nxt = reached_nxt[:, changes_t]
    share_rxi = np.concatenate([
        np.stack([_highest_share(distinct_nxt > place, some_rxn) for place in range(len(IOUS))], axis=-1)
        for some_rxn in (np.ones((1, len(reached_nxt))), *np.array_split(weights_rxn, -(-len(weights_rxn) // SAMPLES_AT_ONCE)))
    ])  # fmt: skip
    columns = {**{f"{key}_{iou}": share_rxi[:, place] for place, iou in enumerate(IOUS)}, f"{key}_mean": share_rxi.mean(axis=1)}
    n = len(reached_nxt)
    return {name: BootstrapValues(float(value_r[0]), value_r[1:], n, n) for name, value_r in columns.items()}


def _highest_share(correct_nxt: BoolArray, weights_rxn: FloatArray) -> FloatArray:
    """Returns the highest share over thresholds in each sample."""
    return np.asarray((weights_rxn.astype(np.float32) @ correct_nxt.astype(np.float32)).max(axis=1).astype(np.float64) / len(correct_nxt))


def pixel_precision(histograms_nx2xb: IntArray, weights_rxn: FloatArray) -> BootstrapValues:
    """Returns PxAP of the pooled histograms of images; a sample without foreground does not count."""
    flat_nxc = histograms_nx2xb.reshape(len(histograms_nx2xb), -1).astype(np.float64)
    pooled_rx2xb = (weights_rxn @ flat_nxc).reshape(-1, *histograms_nx2xb.shape[1:])
    whole = pixel_average_precision(histograms_nx2xb.sum(axis=0))
    return BootstrapValues(float(whole), pixel_average_precision(pooled_rx2xb), len(histograms_nx2xb))
