"""Bootstrap intervals against SciPy, normal theory and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from imgloc.evaluation.statistics import Interval, bootstrap_weights, mean_intervals, overall_interval, t_interval, t_quantile


def interval(values: np.ndarray, groups: list[str], resamples: int = 2000, seed: int = 0) -> Interval:
    (found,) = mean_intervals(values[:, None], *bootstrap_weights(groups, resamples=resamples, seed=seed))
    assert found is not None
    return found


def alone(n: int) -> list[str]:
    return [f"{i:05d}" for i in range(n)]


@pytest.mark.parametrize("distribution", ["exponential", "coin"])
def test_ungrouped_intervals_are_scipys(distribution: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.exponential(size=150) if distribution == "exponential" else (rng.random(150) < 0.9).astype(float)
    found = interval(values, alone(150), resamples=8000)
    theirs = scipy.stats.bootstrap((values,), np.mean, n_resamples=8000, method="percentile", rng=np.random.default_rng(1))
    error = values.std() / np.sqrt(150)
    assert found.mean == pytest.approx(values.mean())
    assert found.n == 150
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.15 * error)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.15 * error)
    assert (found.high - found.low) / error == pytest.approx(2 * 1.96, rel=0.1)


def test_weights_are_draws_of_whole_groups() -> None:
    weights, group_n = bootstrap_weights(["b", "a", "b", "c"], resamples=500, seed=0)
    assert weights.shape == (500, 3)
    assert (weights.sum(axis=1) == 3).all()
    assert (weights >= 0).all()
    assert group_n.tolist() == [1, 0, 1, 2]
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.15)
    again, _ = bootstrap_weights(["b", "a", "b", "c"], resamples=500, seed=0)
    other, _ = bootstrap_weights(["b", "a", "b", "c"], resamples=500, seed=1)
    assert np.array_equal(weights, again)
    assert not np.array_equal(weights, other)


def test_groups_of_copies_count_as_often_as_there_are_groups() -> None:
    """Every value four times over: the interval is that of the values once, twice as wide as if they were independent."""
    once = np.random.default_rng(2).standard_normal(200)
    copies, groups = np.repeat(once, 4), np.repeat(alone(200), 4).tolist()
    grouped, ungrouped, single = interval(copies, groups), interval(copies, alone(800)), interval(once, alone(200))
    assert grouped.mean == pytest.approx(single.mean)
    assert grouped.n == 800
    assert (grouped.low, grouped.high) == (pytest.approx(single.low), pytest.approx(single.high))
    assert (grouped.high - grouped.low) / (ungrouped.high - ungrouped.low) == pytest.approx(2, rel=0.15)


def test_grouped_intervals_cover_the_truth_where_ungrouped_ones_do_not() -> None:
    rng = np.random.default_rng(3)
    hits = {"grouped": 0, "ungrouped": 0}
    trials = 200
    for trial in range(trials):
        values = np.repeat(rng.standard_normal(60), 3) + 0.3 * rng.standard_normal(180)  # true mean 0
        for kind, groups in (("grouped", np.repeat(alone(60), 3).tolist()), ("ungrouped", alone(180))):
            found = interval(values, groups, resamples=400, seed=trial)
            hits[kind] += found.low <= 0 <= found.high
    assert 0.89 <= hits["grouped"] / trials <= 0.99
    assert hits["ungrouped"] / trials < 0.85


def test_nan_values_do_not_count() -> None:
    rng = np.random.default_rng(4)
    values = rng.random(300)
    holes = values.copy()
    holes[::3] = np.nan
    kept = holes[~np.isnan(holes)]
    found = interval(holes, alone(300))
    without = interval(kept, alone(200))
    assert found.mean == pytest.approx(kept.mean())
    assert found.n == 200
    assert found.low == pytest.approx(without.low, abs=0.01)
    assert found.high == pytest.approx(without.high, abs=0.01)


def test_degenerate_cases() -> None:
    weights, group_n = bootstrap_weights(alone(5), resamples=100, seed=0)
    assert mean_intervals(np.full((5, 1), np.nan), weights, group_n) == [None]
    assert interval(np.full(5, 0.7), alone(5)) == Interval(pytest.approx(0.7), pytest.approx(0.7), pytest.approx(0.7), 5)
    assert interval(np.array([1.0]), ["a"]) == Interval(1.0, 1.0, 1.0, 1)
    one_group = interval(np.array([0.0, 1.0]), ["a", "a"])
    assert (one_group.mean, one_group.low, one_group.high) == (0.5, 0.5, 0.5)


def test_a_value_in_a_group_that_no_resample_draws() -> None:
    """One value among many groups and few resamples: its interval has width 0, it is no error."""
    weights, group_n = bootstrap_weights(alone(1000), resamples=1, seed=0)
    values = np.full(1000, np.nan)
    values[int(np.flatnonzero(weights[0] == 0)[0])] = 1.0
    (found,) = mean_intervals(values[:, None], weights, group_n)
    assert found is not None
    assert (found.mean, found.low, found.high) == (1.0, 1.0, 1.0)


def test_overall_interval_of_a_mean_is_the_mean_interval() -> None:
    values = np.random.default_rng(5).random(60)
    groups = np.repeat(alone(20), 3).tolist()
    weights, group_n = bootstrap_weights(groups, resamples=300, seed=0)
    found = overall_interval(lambda w: float((w * values).sum() / w.sum()), weights, group_n)
    (expected,) = mean_intervals(values[:, None], weights, group_n)
    assert found is not None
    assert expected is not None
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((expected.mean, expected.low, expected.high, 60))
    assert overall_interval(lambda w: float("nan"), weights, group_n) is None


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 10, 29, 30, 200])
@pytest.mark.parametrize("probability", [0.6, 0.975, 0.9995])
def test_quantiles_of_t_are_scipys(freedom: int, probability: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(scipy.stats.t.ppf(probability, freedom), rel=1e-10)


def test_t_intervals_are_scipys() -> None:
    values = [0.95, 0.97, 0.9601]
    low, high = scipy.stats.t.interval(0.95, 2, loc=np.mean(values), scale=scipy.stats.sem(values))
    found = t_interval(values)
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((np.mean(values), low, high, 3))
    assert t_interval([0.5, 0.5]) == Interval(0.5, 0.5, 0.5, 2)
    with pytest.raises(ValueError, match="at least 2"):
        t_interval([1.0])
