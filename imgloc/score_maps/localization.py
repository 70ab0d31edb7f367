"""The protocol of weakly supervised localization: boxes and pixels of score maps beside the truth, at many thresholds.

MaxBoxAcc, MaxBoxAccV2 and PxAP are those of Choe et al., 2020, arXiv:2001.07437 and arXiv:2007.04178. A map is rounded down to 256
levels, of which a threshold from 0 to 1 is a share of the highest level that the map has.
"""

from __future__ import annotations

import numpy as np

from imgloc.score_maps.contours import all_contours, largest_contours
from imgloc.types import BoolArray, FloatArray, IntArray

NOWHERE_1X4 = np.zeros((1, 4), np.int64)  # the box where no pixel is above the threshold


def scaled_box(box: IntArray, width: int, height: int, side: int) -> list[int]:
    """Returns a box xyxy in pixels of an image in those of a square map, rounded down."""
    return [int(float(value) * side / size) for value, size in zip(box, (width, height, width, height), strict=True)]


def inclusive_ious(boxes_nx4: IntArray, truth_gx4: IntArray) -> FloatArray:
    """Returns the IoU [n, g] of boxes xyxy of integers whose last pixels belong to them."""
    (left, top, right, bottom), (true_left, true_top, true_right, true_bottom) = boxes_nx4.T[..., None], truth_gx4.T
    across_nxg = np.maximum(np.minimum(right, true_right) - np.maximum(left, true_left) + 1, 0)
    down_nxg = np.maximum(np.minimum(bottom, true_bottom) - np.maximum(top, true_top) + 1, 0)
    areas_nxg = (right - left + 1) * (bottom - top + 1) + (true_right - true_left + 1) * (true_bottom - true_top + 1)
    both_nxg = across_nxg * down_nxg
    return np.asarray(both_nxg / (areas_nxg - both_nxg))


def largest_contour_ious(map_hxw: FloatArray, truth_gx4: IntArray, thresholds_t: FloatArray) -> FloatArray:
    """Returns, at each threshold, the best IoU [t] of the box of the largest contour with a true box (MaxBoxAcc)."""
    iou_l = inclusive_ious(largest_contours(map_hxw), truth_gx4).max(axis=1)
    return np.asarray(iou_l[_levels(map_hxw, thresholds_t)])


def best_contour_ious(map_hxw: FloatArray, truth_gx4: IntArray, thresholds_t: FloatArray) -> FloatArray:
    """Returns, at each threshold, the best IoU [t] of the box of any contour with a true box (MaxBoxAccV2)."""
    contours = all_contours(map_hxw)
    iou_l = np.zeros(255)
    iou_l[int(map_hxw.max() * 255) :] = inclusive_ious(NOWHERE_1X4, truth_gx4).max()
    np.maximum.at(iou_l, contours.level_m, inclusive_ious(contours.boxes_mx4, truth_gx4).max(axis=1))
    return np.asarray(iou_l[_levels(map_hxw, thresholds_t)])


def _levels(map_hxw: FloatArray, thresholds_t: FloatArray) -> IntArray:
    """Returns the level of each threshold: the pixels above it are those of higher levels."""
    return (thresholds_t * int(map_hxw.max() * 255)).astype(np.int64)


def pixel_histograms(map_hxw: FloatArray, pixels: tuple[BoolArray, BoolArray], thresholds_t: FloatArray) -> IntArray:
    """Returns the numbers [2, t + 2] of foreground and of background pixels between thresholds; the last two bins begin at 1 and 2."""
    edges = np.append(thresholds_t, [1.0, 2.0, 3.0])
    return np.stack([np.histogram(map_hxw[each], bins=edges)[0] for each in pixels])


def pixel_average_precision(histograms: FloatArray) -> FloatArray:
    """Returns the area [...] under the precision-recall curve of histograms [..., 2, bins], a right-hand sum; NaN without foreground."""
    above = np.cumsum(histograms[..., ::-1], axis=-1, dtype=np.float64)
    true, false = above[..., 0, :], above[..., 1, :]
    precision = true / np.maximum(true + false, 1)
    with np.errstate(invalid="ignore"):
        recall = true / true[..., -1:]
    return np.asarray((precision[..., 1:] * np.diff(recall)).sum(axis=-1))
