"""Intervals of metrics: over examples that come in groups, and over a few seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from imgloc.interfaces import mean
from imgloc.types import BoolArray, FloatArray, IntArray

Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution
MAX_CONVERTED = 2**20  # weights that are converted to floats at once


@dataclass(frozen=True)
class Interval:
    """The value of a metric, its 95 % interval, and the number of examples that it is over."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap_weights(groups: Sequence[str], *, samples: int, seed: int) -> tuple[FloatArray, IntArray]:
    """Draw whole groups with replacement: (weights r x g, the group index of each example n)."""
    names, group_n = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    generator = np.random.default_rng(seed)
    weights_rxg = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=samples)
    return weights_rxg.astype(np.float64), group_n  # as floats: a product of integers is slow


class BootstrapValues(NamedTuple):
    """The value of a metric, its values in the samples of a bootstrap, and the number of examples that it is over."""

    whole: float
    value_r: FloatArray  # NaN in samples where it does not apply
    n: int
    groups_of_mean: int = 0  # of a mean of values in [0, 1]: the number of groups that it is over


def values_of_sums(
    statistics_nxs: FloatArray,
    weights_rxg: FloatArray | BoolArray,
    group_n: IntArray,
    value: Callable[[FloatArray], FloatArray],
    *,
    bounded: bool = False,
) -> BootstrapValues | None:
    """A metric of sums over n examples in the samples of a bootstrap; None where it does not apply to any of them.

    `value` computes the metric [...] from sums [..., s] of the statistics, NaN where it does not apply. This is a cluster
    bootstrap: the examples of one group are drawn together (Efron and Tibshirani, 1993, chapter 8). `bounded` means that the
    values of a mean are in [0, 1].
    """
    whole = float(value(statistics_nxs.sum(axis=0)))
    if math.isnan(whole):
        return None
    present, index_n = np.unique(group_n, return_inverse=True)
    sums_gxs = np.zeros((len(present), statistics_nxs.shape[1]))
    np.add.at(sums_gxs, index_n, statistics_nxs)
    weights = weights_rxg if len(present) == weights_rxg.shape[1] else weights_rxg[:, present]
    counted_n = (statistics_nxs != 0).any(axis=-1)
    groups_of_mean = len(np.unique(group_n[counted_n])) if bounded and value is mean else 0
    return BootstrapValues(whole, value(_weighted_sums(weights, sums_gxs)), int(counted_n.sum()), groups_of_mean)


def _weighted_sums(weights_rxg: FloatArray | BoolArray, sums_gxs: FloatArray) -> FloatArray:
    """The sums [r, s]. Weights of 0 and 1 are converted in parts, so that they need an eighth of the memory."""
    if weights_rxg.dtype != np.bool_:
        return np.asarray(weights_rxg @ sums_gxs)
    step = max(1, MAX_CONVERTED // weights_rxg.shape[1])
    return np.concatenate([weights_rxg[low : low + step].astype(np.float64) @ sums_gxs for low in range(0, len(weights_rxg), step)])


def percentile_interval(values: BootstrapValues) -> Interval:
    """The 95 % percentile interval of a metric.

    A sample in which the metric does not apply, as with a small slice, does not count. Where all values of a mean of values in
    [0, 1] are 0 or all are 1, as is common with few examples, no sample differs, and the interval is Wilson's for a share of the
    groups (1927, J. Am. Stat. Assoc. 22:209). Other values that are all equal, or all of one group, have an interval of width 0.
    """
    value_r = values.value_r[~np.isnan(values.value_r)]
    low, high = np.percentile(value_r, [2.5, 97.5]) if len(value_r) else (values.whole, values.whole)
    if values.groups_of_mean and low == high == values.whole and values.whole in (0.0, 1.0):
        groups = values.groups_of_mean
        low, high = (0.0, Z**2 / (groups + Z**2)) if values.whole == 0 else (groups / (groups + Z**2), 1.0)
    return Interval(values.whole, float(low), float(high), values.n)


def t_interval(values: Sequence[float]) -> Interval:
    """Mean of a few independent values (one a seed) and its 95 % interval by Student's t (Student, 1908, Biometrika 6:1).

    Raises ValueError for fewer than two values, which have no spread.
    """
    from scipy import stats

    n = len(values)
    if n < 2:
        raise ValueError(f"a t interval needs at least 2 values, got {n}")
    center = math.fsum(values) / n
    deviation = math.sqrt(math.fsum((value - center) ** 2 for value in values) / (n - 1))
    half = float(stats.t.ppf(0.975, n - 1)) * deviation / math.sqrt(n)
    return Interval(mean=center, low=center - half, high=center + half, n=n)
