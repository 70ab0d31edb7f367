"""Intervals for means over examples that come in groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from imgloc.types import FloatArray, IntArray


@dataclass(frozen=True)
class Interval:
    """A mean, its 95 % interval, and how many examples it is over."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap_weights(groups: Sequence[str], *, resamples: int, seed: int) -> tuple[FloatArray, IntArray]:
    """Draw whole groups with replacement: (weights r x g, the group index of each example n)."""
    names, group_n = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    generator = np.random.default_rng(seed)
    weights_rxg = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return weights_rxg.astype(np.float64), group_n  # as floats: a product of integers is a slow one


def mean_interval(values: FloatArray, weights_rxg: FloatArray, group_n: IntArray) -> Interval | None:
    """Mean of [n] values with its 95 % percentile interval; NaN values do not count; None where none does.

    A cluster bootstrap: examples of one group are drawn together (Efron and Tibshirani, 1993, ch. 8).
    Values all alike, or all of one group, give an interval of width 0.
    """
    counted = ~np.isnan(values)
    n = int(counted.sum())
    if n == 0:
        return None
    size = weights_rxg.shape[1]
    sum_g = np.bincount(group_n, weights=np.where(counted, values, 0.0), minlength=size)
    count_g = np.bincount(group_n, weights=counted.astype(float), minlength=size)
    mean = float(sum_g.sum() / n)
    total, count = weights_rxg @ sum_g, weights_rxg @ count_g
    drawn = count > 0  # a small slice is in some of the resamples only
    low, high = np.percentile(total[drawn] / count[drawn], [2.5, 97.5]) if drawn.any() else (mean, mean)
    return Interval(mean=mean, low=float(low), high=float(high), n=n)


def overall_interval(
    overall: Callable[[FloatArray], float], weights_rxg: FloatArray, group_n: IntArray
) -> Interval | None:
    """The same for a number that is no mean: `overall(weights [n])`; NaN where it does not apply."""
    value = overall(np.ones(len(group_n)))
    if np.isnan(value):
        return None
    drawn = np.array([overall(weights_g[group_n]) for weights_g in weights_rxg])
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Interval(mean=float(value), low=float(low), high=float(high), n=len(group_n))
