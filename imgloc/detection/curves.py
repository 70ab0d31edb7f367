"""Average precision under weights of the images: the precision-recall curve of every resample of a bootstrap at once.

A resample repeats images, so its curve is that of the same ranked detections with the weights of their images: a detection of weight 2
stands there twice. Scores are sorted once, and only ranks with a true positive matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from imgloc.types import BoolArray, FloatArray, IntArray

#: From recalls to the share of the points of the recall axis that they reach, of the same shape.
Reached: TypeAlias = Callable[[FloatArray], FloatArray]
CHUNK = 2**17  # numbers of a table that stay in the cache


def at_points(points_m: FloatArray) -> Reached:
    """Of evenly spaced points from 0 to 1, the share that a recall reaches: average precision is then the mean over the points."""
    last = len(points_m) - 1

    def reached(recall: FloatArray) -> FloatArray:
        index = np.minimum(recall * last + 1e-9, last).astype(np.intp)  # of the last point, or of the one after it
        index += 1
        index -= points_m[index - 1] > recall
        return np.asarray(index / len(points_m))

    return reached


def area_under(recall: FloatArray) -> FloatArray:
    """The recall itself: average precision is then the area under the curve."""
    return recall


#: COCO's 101 points. Those that pycocotools compares with: some differ from j / 100 in the last bit.
COCO_POINTS = at_points(np.linspace(0.0, 1.0, 101))


def average_precision(
    hit_txd: BoolArray, counted_txd: BoolArray, weight_rxd: FloatArray, expected_rxt: FloatArray, reached: Reached
) -> FloatArray:
    """Average precision [r, t] of detections d of one class, ranked by falling score, under r weights and in t variants.

    `hit_txd` are true positives; those of `counted_txd` that are no hits are false positives. `expected_rxt` (or [r, 1]) are the
    weights of the objects to be found; where they are 0 the result is NaN. Precision at a recall is the highest precision at that
    recall or a higher one; it is 0 at recalls that are not reached.
    """
    variants, end = hit_txd.shape
    result_rxt = np.where(np.broadcast_to(expected_rxt, (len(weight_rxd), variants)) > 0, 0.0, np.nan)
    counted_d = counted_txd.any(axis=0)
    dropped_txd = counted_d & ~counted_txd
    event_txd = hit_txd | dropped_txd  # the ranks between them change no curve
    length = int(event_txd.sum(axis=1).max(initial=0))
    if not hit_txd.any():
        return result_rxt
    # Variants have different numbers of events: the place behind the last detection, of weight 0, fills them up.
    place_txe = np.sort(np.where(event_txd, np.arange(end), end), axis=1)[:, :length]
    hit_txe, drop_txe = (np.where(_at(mask_txd, place_txe), place_txe, end) for mask_txd in (hit_txd, dropped_txd))
    before_txe = np.append(np.cumsum(counted_d), counted_d.sum())[place_txe]  # detections up to there that some variant counts
    rows = max(1, CHUNK // place_txe.size)
    for part in (slice(low, low + rows) for low in range(0, len(weight_rxd), rows)):
        weight = np.pad(weight_rxd[part], ((0, 0), (0, 1)))
        total = np.pad(np.cumsum(weight[:, :-1][:, counted_d], axis=1), ((0, 0), (1, 0)))
        hits, ranked = _summed(weight, hit_txe), total.take(before_txe, axis=1)
        if dropped_txd.any():
            ranked -= _summed(weight, drop_txe)
        area_rxt = _area(hits, ranked, expected_rxt[part, :, None], reached)
        result_rxt[part] = np.where(np.isnan(result_rxt[part]), np.nan, area_rxt)
    return result_rxt


def _at(mask_txd: BoolArray, place_txe: IntArray) -> BoolArray:
    """The mask at places; False behind its end."""
    return np.take_along_axis(np.pad(mask_txd, ((0, 0), (0, 1))), place_txe, axis=1)


def _summed(weight: FloatArray, place_txe: IntArray) -> FloatArray:
    """The sums [r, t, e] of the weights at the places up to each of them."""
    each = weight.take(place_txe, axis=1)
    return np.cumsum(each, axis=2, out=each)


def _area(hits: FloatArray, ranked: FloatArray, expected: FloatArray, reached: Reached) -> FloatArray:
    """[r, t] from the weights [r, t, e] of hits and of all detections up to each rank; overwrites them."""
    ranked += np.spacing(1)  # as pycocotools: precision is 0 where there is nothing yet
    precision = np.divide(hits, ranked, out=ranked)
    backward = precision[..., ::-1]
    np.maximum.accumulate(backward, axis=2, out=backward)
    recall = np.divide(hits, np.where(expected > 0, expected, 1.0), out=hits)
    precision[..., :-1] -= precision[..., 1:]
    return np.asarray(np.einsum("rte,rte->rt", precision, reached(recall)))


def mean_over_classes(value_kxrxm: FloatArray) -> FloatArray:
    """The mean [r, m] over classes with an object; NaN without any."""
    present_kxrxm = ~np.isnan(value_kxrxm)
    count_rxm = present_kxrxm.sum(axis=0)
    return np.where(count_rxm > 0, np.where(present_kxrxm, value_kxrxm, 0.0).sum(axis=0) / np.maximum(count_rxm, 1), np.nan)
