"""Power of t tests, against SciPy's noncentral t distribution and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from imgloc.evaluation.power import MOST, needed, power, smallest_count, smallest_difference
from imgloc.evaluation.variances import Estimate, RunValues, difference_over_both, difference_over_seeds, t_quantile


def scipy_power(shift: float, freedom: float) -> float:
    quantile = t_quantile(freedom)
    return float(scipy.stats.nct.sf(quantile, freedom, shift) + scipy.stats.nct.cdf(-quantile, freedom, shift))


@pytest.mark.parametrize("freedom", [1, 2, 4, 8.5, 100])
@pytest.mark.parametrize("shift", [0.0, 1.0, 2.8, 6.0])
def test_power_is_that_of_the_noncentral_t_distribution(shift: float, freedom: float) -> None:
    assert power(-0.1 * shift, Estimate(0.0, 0.01, freedom)) == pytest.approx(scipy_power(shift, freedom), abs=0.002)


def test_the_smallest_difference_has_a_power_of_four_fifths() -> None:
    error = Estimate(0.3, 0.04, 5)
    found = smallest_difference(error)
    assert scipy_power(found / 0.2, 5) == pytest.approx(0.8, abs=0.002)
    assert smallest_difference(Estimate(0.3, 0.0, 5)) == 0.0
    assert smallest_difference(Estimate(0.0, 0.04, 2)) > found, "fewer runs show less"


def runs(spread: float, seed: int, images: float = 0.0) -> RunValues:
    rng = np.random.default_rng(seed)
    whole_k = 0.9 + spread * np.array([-1.0, 0.0, 1.0])
    return RunValues(whole_k, whole_k[:, None] + images * rng.standard_normal(2000), 500)


def test_needed_seeds_are_those_of_a_simulated_t_test() -> None:
    first, second = runs(0.01, 0), runs(0.01, 1)
    found = needed(0.01, difference_over_seeds(first, second), first, second, 500, "seeds")
    assert found.images is None
    assert found.seeds is not None
    rng = np.random.default_rng(2)
    shares = []
    for count in (found.seeds - 1, found.seeds):
        a, b = 0.01 * rng.standard_normal((20_000, count)), 0.01 + 0.01 * rng.standard_normal((20_000, count))
        shares.append(float((scipy.stats.ttest_ind(b, a, axis=1).pvalue < 0.05).mean()))
    assert shares[0] < 0.81
    assert shares[1] > 0.79


def test_what_no_number_can_show_has_none() -> None:
    first, second = runs(0.001, 0, images=0.03), runs(0.001, 1, images=0.03)
    error = difference_over_both(first, second)
    found = needed(0.01, error, first, second, 500, "both")
    assert found.seeds is None, "the images alone are too few"
    assert found.images is not None
    assert found.images > 500
    of_images = needed(0.01, Estimate(0.0, error.variance, 499), first, second, 500, "images")
    assert of_images.seeds is None
    assert of_images.images == pytest.approx(500 * error.variance * (2.8 / 0.01) ** 2, rel=0.02), "the usual formula of many images"
    scattered = needed(0.001, error, runs(0.05, 0), runs(0.05, 1), 500, "both")
    assert scattered.images is None, "three seeds alone are too few"
    assert scattered.seeds is not None


def test_the_least_number_is_the_first_that_is_enough() -> None:
    for limit in (2, 3, 7, 64, 65, 1000):
        assert smallest_count(lambda count, limit=limit: 0.9 if count >= limit else 0.1, 2) == max(limit, 2)
    assert smallest_count(lambda count: 0.0, 2) is None
    assert smallest_count(lambda count: 0.8 * math.log(count) / math.log(MOST), 2) == MOST
