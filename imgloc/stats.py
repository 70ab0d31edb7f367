"""Intervals for means: over examples that come in groups, and over a few seeds."""

from __future__ import annotations

import math
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


def mean_intervals(values_nxm: FloatArray, weights_rxg: FloatArray, group_n: IntArray) -> list[Interval | None]:
    """Means of m columns of n values with 95 % percentile intervals; NaN values do not count; None where none does.

    A cluster bootstrap: examples of one group are drawn together (Efron and Tibshirani, 1993, ch. 8).
    Values all alike, or all of one group, give an interval of width 0.
    """
    counted_nxm = ~np.isnan(values_nxm)
    size = (weights_rxg.shape[1], values_nxm.shape[1])
    sum_gxm, count_gxm = np.zeros(size), np.zeros(size)
    np.add.at(sum_gxm, group_n, np.where(counted_nxm, values_nxm, 0.0))
    np.add.at(count_gxm, group_n, counted_nxm.astype(float))
    total_rxm, drawn_rxm = weights_rxg @ sum_gxm, weights_rxg @ count_gxm
    found: list[Interval | None] = []
    for column in range(values_nxm.shape[1]):
        n = int(count_gxm[:, column].sum())
        if n == 0:
            found.append(None)
            continue
        mean = float(sum_gxm[:, column].sum() / n)
        drawn = drawn_rxm[:, column] > 0  # a small slice is in some of the resamples only
        means = total_rxm[drawn, column] / drawn_rxm[drawn, column]
        low, high = np.percentile(means, [2.5, 97.5]) if drawn.any() else (mean, mean)
        found.append(Interval(mean=mean, low=float(low), high=float(high), n=n))
    return found


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


def t_interval(values: Sequence[float]) -> Interval:
    """Mean of a few independent values (one a seed) and its 95 % interval by Student's t (Student, 1908, Biometrika 6:1).

    Raises ValueError for fewer than two values: one value says nothing about its spread.
    """
    n = len(values)
    if n < 2:
        raise ValueError(f"an interval wants at least 2 values; got {n}")
    mean = math.fsum(values) / n
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = t_quantile(0.975, n - 1) * deviation / math.sqrt(n)
    return Interval(mean=mean, low=mean - half, high=mean + half, n=n)


def t_quantile(probability: float, freedom: int) -> float:
    """The value that Student's t with `freedom` degrees stays below with this probability (0.5 up to, not including, 1)."""
    low, high = 0.0, 1.0
    while _t_below(high, freedom) < probability:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_below(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def _t_below(value: float, freedom: int) -> float:
    """P(T <= value) for value >= 0, whole degrees of freedom (Abramowitz and Stegun, 1964, 26.7.3 and 26.7.4)."""
    angle = math.atan(value / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = total = cosine if odd else 1.0
    if freedom == 1:
        total = 0.0
    for k in range(2 + odd, freedom - 1, 2):  # each term is the last times (k - 1) / k cos^2
        term *= cosine**2 * (k - 1) / k
        total += term
    within = 2 / math.pi * (angle + sine * total) if odd else sine * total  # of -value to value
    return (1 + within) / 2
