"""AdaBoost of decision stumps (Freund and Schapire, 1997), in the form of Viola and Jones (2001)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from imgloc.types import BoolArray, FloatArray, IntArray

SMALLEST_ERROR = 1e-6  # so that the vote of a stump without errors is finite


class Stump(NamedTuple):
    """A vote for `object` where `polarity * value < polarity * threshold`, with the weight `alpha`."""

    feature: int
    threshold: float
    polarity: int
    alpha: float


def boost(values_nxf: FloatArray, is_object_n: BoolArray, rounds: int) -> list[Stump]:
    """The stumps that AdaBoost chooses: in each round that with the smallest weighted error, after which wrong examples weigh more.

    The examples of each class have half of the weight at first.
    """
    order_nxf = np.argsort(values_nxf, axis=0, kind="stable")
    sorted_nxf = np.take_along_axis(values_nxf, order_nxf, axis=0)
    weight_n = np.where(is_object_n, 0.5 / max(1, is_object_n.sum()), 0.5 / max(1, (~is_object_n).sum()))
    stumps: list[Stump] = []
    for _ in range(rounds):
        weight_n = weight_n / weight_n.sum()
        stump, error = best_stump(sorted_nxf, order_nxf, is_object_n, weight_n)
        error = float(np.clip(error, SMALLEST_ERROR, 0.5))
        beta = error / (1 - error)
        right_n = votes(values_nxf, stump) == is_object_n
        weight_n = np.where(right_n, weight_n * beta, weight_n)
        stumps.append(stump._replace(alpha=float(-np.log(beta))))
    return stumps


def best_stump(sorted_nxf: FloatArray, order_nxf: IntArray, is_object_n: BoolArray, weight_n: FloatArray) -> tuple[Stump, float]:
    """The stump with the smallest weighted error, and that error; `sorted_nxf` are the values of each feature in rising `order_nxf`."""
    signed_nxf = np.where(is_object_n, weight_n, -weight_n)[order_nxf]
    below_nxf = np.cumsum(signed_nxf, axis=0)  # weight of the objects minus that of the others, up to each value
    total = weight_n[is_object_n].sum()
    error_nxf = total - below_nxf  # where all up to this value are called objects
    # A threshold separates two values only if they differ.
    possible_nxf = np.concatenate([sorted_nxf[1:] > sorted_nxf[:-1], np.ones((1, sorted_nxf.shape[1]), bool)])
    low = np.where(possible_nxf, error_nxf, np.inf)
    high = np.where(possible_nxf, 1 - error_nxf, np.inf)  # where all above it are
    polarity = 1 if low.min() <= high.min() else -1
    errors = low if polarity == 1 else high
    place, feature = divmod(int(errors.argmin()), errors.shape[1])
    at = sorted_nxf[place, feature]
    following = sorted_nxf[min(place + 1, len(sorted_nxf) - 1), feature]
    threshold = np.float32((at + following) / 2)
    if threshold <= at:  # two neighbors among float32, or the last value
        threshold = np.nextafter(np.float32(at), np.float32(np.inf))
    return Stump(feature, float(threshold), polarity, 0.0), float(errors[place, feature])


def votes(values_nxf: FloatArray, stump: Stump) -> BoolArray:
    """Whether a stump calls each example an object."""
    return np.asarray(stump.polarity * values_nxf[:, stump.feature] < stump.polarity * stump.threshold)
