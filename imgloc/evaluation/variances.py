"""A metric of several runs on the same images: how much it varies over seeds and over images, and the intervals that follow.

Run k has the metric m_k = mean + seed_k + images + error_k: the part of the images is common to all runs, that of the seed and the
error are not. The variance of m_k over seeds is therefore that of the seed and of the error. The covariance of two runs over images
is the variance of the common part. Both are added for a statement about other seeds and other images (Searle, Casella and McCulloch,
1992, Variance Components, chapter 4). Degrees of freedom of a sum of variances follow Satterthwaite (1946, Biometrics Bulletin 2:110).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from imgloc.evaluation.statistics import BootstrapValues, Interval
from imgloc.types import FloatArray

ALPHA = 0.05
ROUNDING = 1e-12  # relative; values that differ by less are equal


class RunValues(NamedTuple):
    """A metric of k runs on the same images."""

    whole_k: FloatArray
    value_kxr: FloatArray  # in the samples of a bootstrap over images, which are the same for every run; NaN where it does not apply
    groups: int  # of images, which the bootstrap draws


class Component(NamedTuple):
    """A part of the variance of an estimate, with the degrees of freedom that it is estimated with."""

    variance: float
    degrees_of_freedom: float


class Estimate(NamedTuple):
    """A value with the variance and the degrees of freedom of its error."""

    value: float
    variance: float
    degrees_of_freedom: float

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval."""
        return t_quantile(self.degrees_of_freedom) * math.sqrt(self.variance)

    @property
    def p(self) -> float:
        """The two-sided p value of the hypothesis that the value is 0; 1 without a variance, as nothing is known of the error then."""
        from scipy import stats

        if self.variance <= 0:
            return 1.0
        return float(2 * stats.t.sf(abs(self.value) / math.sqrt(self.variance), self.degrees_of_freedom))


def t_quantile(degrees_of_freedom: float) -> float:
    """The quantile of Student's t that a two-sided 95 % interval reaches to."""
    from scipy import stats

    return float(stats.t.ppf(1 - ALPHA / 2, degrees_of_freedom))


def run_values(runs: Sequence[BootstrapValues], groups: int) -> RunValues:
    """Returns a metric of several runs."""
    return RunValues(np.array([run.whole for run in runs]), np.stack([run.value_r for run in runs]), groups)


def level(runs: RunValues, n: int) -> Interval:
    """The mean of several runs with its 95 % interval over seeds and images.

    The quantile is the mean of those of both components, weighted by their variances (Cochran and Cox, 1950, Experimental Designs).
    """
    components = (over_seeds(runs), over_images((1, runs)))
    variance = math.fsum(each.variance for each in components)
    weighted = math.fsum(each.variance * t_quantile(each.degrees_of_freedom) for each in components)
    value, half = float(runs.whole_k.mean()), weighted / math.sqrt(variance) if variance > 0 else 0.0
    return Interval(value, value - half, value + half, n)


def difference_over_seeds(first: RunValues, second: RunValues) -> Estimate:
    """The mean of the second runs minus that of the first ones, and its error over seeds on the same images.

    The degrees of freedom are those of Welch (1947, Biometrika 34:28) to second order; Satterthwaite's are of first order.
    """
    parts = [over_seeds(first), over_seeds(second)]
    variance = math.fsum(each.variance for each in parts)
    spread = math.fsum(each.variance**2 / (each.degrees_of_freedom + 2) for each in parts)
    smallest = min(each.degrees_of_freedom for each in parts)
    degrees_of_freedom = max(variance**2 / spread - 2, smallest) if spread > 0 else smallest
    return Estimate(float(second.whole_k.mean() - first.whole_k.mean()), variance, degrees_of_freedom)


def difference_over_both(first: RunValues, second: RunValues) -> Estimate:
    """The mean of the second runs minus that of the first ones, and its error over seeds and images."""
    seeds = difference_over_seeds(first, second)
    return sum_of(seeds.value, [Component(seeds.variance, seeds.degrees_of_freedom), over_images((1, second), (-1, first))])


def sum_of(value: float, components: Sequence[Component]) -> Estimate:
    """Returns an estimate whose variance is the sum of independent components, with Satterthwaite's degrees of freedom."""
    variance = math.fsum(each.variance for each in components)
    spread = math.fsum(each.variance**2 / each.degrees_of_freedom for each in components)
    return Estimate(value, variance, variance**2 / spread if spread > 0 else components[0].degrees_of_freedom)


def seeds_vary(runs: RunValues) -> bool:
    """Whether the runs have different values, apart from rounding."""
    return float(np.ptp(runs.whole_k)) > ROUNDING * float(np.abs(runs.whole_k).max())


def over_seeds(runs: RunValues) -> Component:
    """The variance of the mean of the runs over seeds, on the same images; 0 where the runs are equal."""
    k = len(runs.whole_k)
    return Component(float(runs.whole_k.var(ddof=1)) / k if seeds_vary(runs) else 0.0, k - 1)


def over_images(*signed: tuple[int, RunValues]) -> Component:
    """The variance over images of what all runs have in common, of the sum of groups of runs with signs 1 and -1.

    It is the covariance of different runs. Raises ValueError for a group of one run, in which the run cannot be separated from what
    it would have in common with others.
    """
    if any(len(runs.whole_k) < 2 for _, runs in signed):
        raise ValueError("the common part of runs needs at least 2 runs in each group")
    total = sum(sign * runs.value_kxr.mean(axis=0) for sign, runs in signed)
    alone = math.fsum(error_variance(runs) for _, runs in signed)
    groups = signed[0][1].groups
    return Component(max(variance_over_images(total, groups) - alone, 0.0), max(groups - 1, 1))


def error_variance(runs: RunValues) -> float:
    """The variance over images of the mean of the runs that is not common to them: the errors of each run."""
    each = float(np.mean([variance_over_images(value_r, runs.groups) for value_r in runs.value_kxr]))
    return max(each - variance_over_images(runs.value_kxr.mean(axis=0), runs.groups), 0.0) / (len(runs.whole_k) - 1)


def variance_over_images(value_r: FloatArray, groups: int) -> float:
    """The variance of bootstrap values without the bias of a bootstrap of few groups (Efron and Tibshirani, 1993, section 5.3).

    Samples in which the metric does not apply do not count.
    """
    value_r = value_r[~np.isnan(value_r)]
    return float(value_r.var()) * groups / max(groups - 1, 1) if len(value_r) else 0.0
