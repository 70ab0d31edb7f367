"""Which differences of two groups of runs can be found, and how many seeds or images a difference needs.

The power of a t test is that of the noncentral t distribution (Cohen, 1988, Statistical Power Analysis, chapter 2).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from imgloc.evaluation.variances import Component, Estimate, RunValues, error_variance, over_images, over_seeds, sum_of, t_quantile
from imgloc.types import FloatArray

POWER = 0.8  # the probability with which a difference is found
MOST = 10**6  # seeds or images
QUANTILES = (np.arange(400) + 0.5) / 400


class Needed(NamedTuple):
    """What a difference of a given size needs to be found with a probability of 0.8.

    `seeds` is the number of runs in each group on the present images, `images` the number of images with the present runs; None where
    no number up to a million is enough.
    """

    difference: float
    seeds: int | None
    images: int | None


def power(difference: float, error: Estimate) -> float:
    """Returns the probability that a t test finds a difference of this size, with the error of an estimate.

    It is the mean over the estimated deviation, whose square is that of a chi-squared distribution; within 0.001 of SciPy's noncentral t
    distribution, which is not a number for some large differences.
    """
    from scipy import special

    if error.variance <= 0:
        return 1.0
    shift = abs(difference) / math.sqrt(error.variance)
    reached_q = _thresholds(error.degrees_of_freedom)
    return float(np.mean(special.ndtr(shift - reached_q) + special.ndtr(-shift - reached_q)))


@functools.lru_cache(maxsize=64)
def _thresholds(degrees_of_freedom: float) -> FloatArray:
    """Quantiles of the difference, in true standard errors, that a t test finds."""
    from scipy import stats

    return np.asarray(t_quantile(degrees_of_freedom) * np.sqrt(stats.chi2.ppf(QUANTILES, degrees_of_freedom) / degrees_of_freedom))


def smallest_difference(error: Estimate) -> float:
    """Returns the smallest difference that is found with a probability of 0.8."""
    from scipy.optimize import brentq

    if error.variance <= 0:
        return 0.0
    scale = math.sqrt(error.variance)
    found: float = brentq(lambda shift: power(shift * scale, error) - POWER, 0.0, 4 * t_quantile(error.degrees_of_freedom))
    return found * scale


def needed(difference: float, error: Estimate, first: RunValues, second: RunValues, images: int, over: str) -> Needed:
    """Returns how many seeds and how many images a difference needs.

    `over` names what a statement is about: `images`, `seeds` or `both`; only `both` can need more of each. `error` is that of the
    difference of the present groups over them.
    """
    if over == "images":
        return Needed(difference, None, smallest_count(lambda count: power(difference, _with_images(error, images, count)), 2))
    runs = (first, second)
    of_one = math.fsum(over_seeds(each).variance * len(each.whole_k) for each in runs)  # of a difference of one run each
    common = [over_images((1, second), (-1, first))] if over == "both" else []
    seeds = smallest_count(lambda k: power(difference, sum_of(0.0, [Component(of_one / k, 2 * (k - 1)), *common])), 2)
    if over == "seeds":
        return Needed(difference, seeds, None)
    errors = math.fsum(error_variance(each) for each in runs)
    alone = max(math.fsum(over_seeds(each).variance for each in runs) - errors, 0.0)
    degrees_of_freedom = math.fsum(len(each.whole_k) - 1 for each in runs)

    def with_images(count: int) -> Estimate:
        changing = _with_images(Estimate(0.0, common[0].variance, common[0].degrees_of_freedom), images, count)
        return sum_of(
            0.0, [Component(alone + errors * images / count, degrees_of_freedom), Component(changing.variance, changing.degrees_of_freedom)]
        )

    return Needed(difference, seeds, smallest_count(lambda count: power(difference, with_images(count)), 2))


def _with_images(error: Estimate, images: int, count: int) -> Estimate:
    """The error of a value over images, if there were `count` of them."""
    return Estimate(0.0, error.variance * images / count, max((error.degrees_of_freedom + 1) * count / images - 1, 1.0))


def smallest_count(power_of: Callable[[int], float], start: int) -> int | None:
    """Returns the smallest number from `start` with a power of at least 0.8, which grows with the number; None if it is above the limit."""
    high = start
    while power_of(high) < POWER:
        if high >= MOST:
            return None
        high = min(2 * high, MOST)
    low = max(high // 2, start - 1)  # not enough, or below the start
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= POWER else (middle, high)
    return high
