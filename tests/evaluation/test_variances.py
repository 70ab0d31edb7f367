"""Variances over seeds and images, against an analysis of variance, SciPy's tests and simulations."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from imgloc.evaluation.statistics import BootstrapValues, t_interval
from imgloc.evaluation.variances import (
    Component,
    Estimate,
    RunValues,
    difference_over_both,
    difference_over_seeds,
    error_variance,
    level,
    over_images,
    over_seeds,
    run_values,
    sum_of,
    variance_over_images,
)

IMAGES = 300
WEIGHTS = np.random.default_rng(0).multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), size=4000) / IMAGES


def values_of(value_kxn: np.ndarray) -> RunValues:
    return RunValues(value_kxn.mean(axis=1), value_kxn @ WEIGHTS.T, value_kxn.shape[1])


def drawn(rng: np.random.Generator, runs: int, seeds: float = 0.05, image_n: np.ndarray | None = None) -> np.ndarray:
    image_n = 0.3 * rng.standard_normal(IMAGES) if image_n is None else image_n
    return 0.5 + seeds * rng.standard_normal((runs, 1)) + image_n + 0.2 * rng.standard_normal((runs, IMAGES))


def mean_squares(value_kxn: np.ndarray) -> tuple[float, float, float]:
    """The mean squares of runs, images and residuals of a crossed layout."""
    k, n = value_kxn.shape
    of_run, of_image, whole = value_kxn.mean(axis=1), value_kxn.mean(axis=0), value_kxn.mean()
    residual = value_kxn - of_run[:, None] - of_image + whole
    return n * of_run.var(ddof=1), k * of_image.var(ddof=1), float((residual**2).sum() / ((k - 1) * (n - 1)))


@pytest.mark.parametrize("runs", [2, 3, 6])
def test_components_are_those_of_an_analysis_of_variance(runs: int) -> None:
    """Of means: var = (MS_run + MS_image - MS_residual) / (k n), Searle et al., chapter 4."""
    value_kxn = drawn(np.random.default_rng(runs), runs)
    values = values_of(value_kxn)
    run, image, residual = (square / value_kxn.size for square in mean_squares(value_kxn))
    assert over_seeds(values) == (pytest.approx(run), runs - 1)
    assert over_images((1, values)).variance == pytest.approx(image - residual, rel=0.05)
    assert over_images((1, values)).degrees_of_freedom == IMAGES - 1
    assert error_variance(values) == pytest.approx(residual, rel=0.15)


def test_equal_effects_of_images_cancel_in_a_difference() -> None:
    rng = np.random.default_rng(1)
    image_n = 0.3 * rng.standard_normal(IMAGES)
    first, second = (values_of(drawn(rng, 4, image_n=image_n)) for _ in range(2))
    alone, paired = over_images((1, first)).variance, over_images((1, second), (-1, first)).variance
    assert paired < 0.05 * alone
    other = values_of(drawn(rng, 4))
    assert over_images((1, other), (-1, first)).variance == pytest.approx(2 * alone, rel=0.3)
    with pytest.raises(ValueError, match="at least 2 runs"):
        over_images((1, values_of(drawn(rng, 1))))


def test_the_t_test_over_seeds_has_scipys_statistic_and_nearly_its_p_value() -> None:
    rng = np.random.default_rng(2)
    first, second = (values_of(drawn(rng, runs)) for runs in (5, 7))
    found = difference_over_seeds(first, second)
    theirs = scipy.stats.ttest_ind(second.whole_k, first.whole_k, equal_var=False)
    assert found.value / np.sqrt(found.variance) == pytest.approx(theirs.statistic)
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(abs(theirs.statistic), found.degrees_of_freedom))
    assert found.degrees_of_freedom == pytest.approx(theirs.df, rel=0.35)
    equal = RunValues(first.whole_k + 0.1, first.value_kxr, IMAGES)
    n = len(first.whole_k)
    assert difference_over_seeds(first, equal).degrees_of_freedom == pytest.approx(2 * (n + 1) - 2), "Welch, 1947, of equal variances"


def test_an_interval_without_variance_over_images_is_the_t_interval() -> None:
    whole_k = np.array([0.91, 0.93, 0.96])
    values = RunValues(whole_k, np.repeat(whole_k[:, None], 10, axis=1), 50)
    found, expected = level(values, 99), t_interval(whole_k.tolist())
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((expected.mean, expected.low, expected.high, 99))


def test_an_interval_of_equal_runs_is_that_over_images() -> None:
    image_n = np.random.default_rng(3).standard_normal(IMAGES)
    found = level(values_of(np.stack([image_n, image_n])), IMAGES)
    expected = scipy.stats.t.interval(0.95, IMAGES - 1, loc=image_n.mean(), scale=scipy.stats.sem(image_n))
    assert (found.low, found.high) == pytest.approx(expected, abs=0.06 * image_n.std() / np.sqrt(IMAGES))


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(1, 500)), min_size=1, max_size=4))
def test_degrees_of_freedom_are_between_the_least_and_the_sum(components: list[tuple[float, int]]) -> None:
    found = sum_of(1.0, [Component(variance, freedom) for variance, freedom in components])
    freedoms = [freedom for _, freedom in components]
    assert min(freedoms) * (1 - 1e-9) <= found.degrees_of_freedom <= sum(freedoms) * (1 + 1e-9)
    assert 0 <= found.p <= 1


def test_equal_values_have_no_interval_and_no_difference() -> None:
    same = RunValues(np.array([1.0, 1.0]), np.ones((2, 10)), 20)
    assert (level(same, 20).low, level(same, 20).high) == (1.0, 1.0)
    assert difference_over_both(same, same).p == 1.0
    assert Estimate(0.1, 0.0, 2).p == 1.0, "nothing is known of the error"
    thirds = RunValues(np.full(3, 0.1), np.full((3, 10), 0.1), 20)
    assert thirds.whole_k.var(ddof=1) > 0, "a rounding error"
    assert over_seeds(thirds).variance == 0.0


def test_samples_without_a_value_do_not_count() -> None:
    runs = [BootstrapValues(0.5, np.array(each), 9) for each in ([0.4, np.nan, 0.6], [0.4, 0.5, 0.6])]
    values = run_values(runs, 5)
    assert variance_over_images(values.value_kxr.mean(axis=0), 5) == pytest.approx(0.01 * 5 / 4)
    assert variance_over_images(np.array([np.nan]), 5) == 0.0


def test_false_differences_and_coverage_of_a_short_simulation() -> None:
    """The long one is experiments/statistics."""
    rng = np.random.default_rng(5)
    wrong, within, trials = 0, 0, 300
    for _ in range(trials):
        image_n = 0.3 * rng.standard_normal(IMAGES)
        first, second = (RunValues(x.mean(axis=1), x @ WEIGHTS[:300].T, IMAGES) for x in (drawn(rng, 3, 0.02, image_n) for _ in range(2)))
        wrong += difference_over_both(first, second).p < 0.05
        found = level(first, IMAGES)
        within += found.low <= 0.5 <= found.high
    assert 0.015 <= wrong / trials <= 0.095
    assert within / trials >= 0.92
