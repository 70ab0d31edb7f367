"""Average precision under weights of the images: the precision-recall curve of every resample of a bootstrap at once.

A resample repeats images, so its curve is that of the same ranked detections with the weights of their images: a detection of weight 2
stands there twice. Scores are sorted once, and only ranks with a true positive matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from imgloc.types import BoolArray, FloatArray, IntArray

Numbers: TypeAlias = npt.NDArray[Any]  # floats, or integers: NumPy sums integers several times faster

#: From recalls to the share of the points of the recall axis that they reach, of the same shape.
Reached: TypeAlias = Callable[[FloatArray], FloatArray]
CHUNK = 2**17  # numbers of a table that stay in the cache


def at_points(points_m: FloatArray) -> Reached:
    """Of evenly spaced points from 0 to 1, the share that a recall reaches: average precision is then the mean over the points."""
    last = len(points_m) - 1

    def reached(recall: FloatArray) -> FloatArray:
        place = recall * last
        place += 1e-9
        index = np.minimum(place, last, out=place).astype(np.intp)  # of the last point that is reached, or of the one after it
        count = np.add(index, points_m.take(index, out=place, mode="clip") <= recall, out=place)
        return np.asarray(np.divide(count, len(points_m), out=count))

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

    `hit_txd` are true positives; those of `counted_txd` that are not hits are false positives. `expected_rxt` (or [r, 1]) are the
    weights of the objects to be found; where they are 0 the result is NaN. Precision at a recall is the highest precision at that
    recall or a higher one; it is 0 at recalls that are not reached.
    """
    expected_rxt = np.broadcast_to(expected_rxt, (len(weight_rxd), len(hit_txd)))
    result_rxt = np.where(expected_rxt > 0, 0.0, np.nan)
    counted_d = counted_txd.any(axis=0)
    # Precision falls between hits, so no other rank changes a result. Variants share a sum over all detections that one of them counts.
    places_t = [(np.flatnonzero(hit_d), np.flatnonzero(counted_d & ~own_d)) for hit_d, own_d in zip(hit_txd, counted_txd, strict=True)]
    number_rxd = _as_integers(weight_rxd)
    rows = max(1, CHUNK // max(1, hit_txd.shape[1]))
    for part in (slice(low, low + rows) for low in range(0, len(number_rxd), rows)) if hit_txd.any() else ():
        total = np.cumsum(number_rxd[part] * counted_d, axis=1)
        for t, (hit_e, dropped_o) in enumerate(places_t):
            ranked = total.take(hit_e, axis=1)
            if len(dropped_o):
                dropped = np.pad(_summed(number_rxd[part], dropped_o), ((0, 0), (1, 0)))
                ranked -= dropped.take(np.searchsorted(dropped_o, hit_e), axis=1)
            hits, expected_r = _summed(number_rxd[part], hit_e), expected_rxt[part, t]
            result_rxt[part, t] = np.where(expected_r > 0, _area(hits, ranked, expected_r, reached), np.nan)
    return result_rxt


def _as_integers(weight_rxd: FloatArray) -> Numbers:
    """Weights that are whole numbers, as those of a bootstrap are, as integers; others as they are."""
    whole_rxd = weight_rxd.astype(np.int64)
    return whole_rxd if (whole_rxd == weight_rxd).all() else weight_rxd


def _summed(weight_rxd: Numbers, place_e: IntArray) -> Numbers:
    """The sums [r, e] of the weights at the places up to each of them."""
    each_rxe: Numbers = weight_rxd.take(place_e, axis=1)
    return np.cumsum(each_rxe, axis=1, out=each_rxe)


def _area(hits_rxe: Numbers, ranked_rxe: Numbers, expected_r: FloatArray, reached: Reached) -> FloatArray:
    """The average precision [r] from the weights of hits and of all detections up to each hit."""
    hits_rxe = hits_rxe.astype(np.float64, copy=False)
    precision_rxe = ranked_rxe + np.spacing(1)  # as pycocotools: it is 0 where there is nothing yet
    np.divide(hits_rxe, precision_rxe, out=precision_rxe)
    backward_rxe = precision_rxe[:, ::-1].view(np.int64)  # the bits of numbers that are not negative have their order, and are faster
    np.maximum.accumulate(backward_rxe, axis=1, out=backward_rxe)
    recall_rxe = np.divide(hits_rxe, np.where(expected_r > 0, expected_r, 1.0)[:, None], out=hits_rxe)
    precision_rxe[:, :-1] -= precision_rxe[:, 1:]
    return np.asarray(np.einsum("re,re->r", precision_rxe, reached(recall_rxe)))


def mean_over_classes(value_kxrxm: FloatArray) -> FloatArray:
    """The mean [r, m] over classes with an object; NaN without any."""
    present_kxrxm = ~np.isnan(value_kxrxm)
    count_rxm = present_kxrxm.sum(axis=0)
    return np.where(count_rxm > 0, np.where(present_kxrxm, value_kxrxm, 0.0).sum(axis=0) / np.maximum(count_rxm, 1), np.nan)
