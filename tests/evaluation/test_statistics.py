"""Bootstrap intervals against SciPy, normal theory and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from imgloc.evaluation.statistics import Interval, bootstrap_weights, percentile_interval, t_interval, values_of_sums
from imgloc.interfaces import mean


def interval_or_none(values: np.ndarray, weights: np.ndarray, group_n: np.ndarray) -> Interval | None:
    """The interval of a mean, NaN values left out."""
    applies = ~np.isnan(values)
    statistics_nx2 = np.stack([np.where(applies, values, 0.0), applies.astype(float)], axis=-1)
    found = values_of_sums(statistics_nx2, weights, group_n, mean, bounded=True)
    return None if found is None else percentile_interval(found)


def interval(values: np.ndarray, groups: list[str], samples: int = 2000, seed: int = 0) -> Interval:
    found = interval_or_none(values, *bootstrap_weights(groups, samples=samples, seed=seed))
    assert found is not None
    return found


def alone(n: int) -> list[str]:
    return [f"{i:05d}" for i in range(n)]


@pytest.mark.parametrize("distribution", ["exponential", "coin"])
def test_ungrouped_intervals_are_scipys(distribution: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.exponential(size=150) if distribution == "exponential" else (rng.random(150) < 0.9).astype(float)
    found = interval(values, alone(150), samples=8000)
    theirs = scipy.stats.bootstrap((values,), np.mean, n_resamples=8000, method="percentile", rng=np.random.default_rng(1))
    error = values.std() / np.sqrt(150)
    assert found.mean == pytest.approx(values.mean())
    assert found.n == 150
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.15 * error)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.15 * error)
    assert (found.high - found.low) / error == pytest.approx(2 * 1.96, rel=0.1)


def test_weights_are_draws_of_whole_groups() -> None:
    weights, group_n = bootstrap_weights(["b", "a", "b", "c"], samples=500, seed=0)
    assert weights.shape == (500, 3)
    assert (weights.sum(axis=1) == 3).all()
    assert (weights >= 0).all()
    assert group_n.tolist() == [1, 0, 1, 2]
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.15)
    again, _ = bootstrap_weights(["b", "a", "b", "c"], samples=500, seed=0)
    other, _ = bootstrap_weights(["b", "a", "b", "c"], samples=500, seed=1)
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
            found = interval(values, groups, samples=400, seed=trial)
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
    weights, group_n = bootstrap_weights(alone(5), samples=100, seed=0)
    assert interval_or_none(np.full(5, np.nan), weights, group_n) is None
    assert interval(np.full(5, 0.7), alone(5)) == Interval(pytest.approx(0.7), pytest.approx(0.7), pytest.approx(0.7), 5)
    assert interval(np.array([0.7]), ["a"]) == Interval(0.7, 0.7, 0.7, 1)
    one_group = interval(np.array([0.0, 1.0]), ["a", "a"])
    assert (one_group.mean, one_group.low, one_group.high) == (0.5, 0.5, 0.5)


def test_a_value_in_a_group_that_no_resample_draws() -> None:
    """An interval of one value among many groups and few resamples has width 0."""
    weights, group_n = bootstrap_weights(alone(1000), samples=1, seed=0)
    values = np.full(1000, np.nan)
    values[int(np.flatnonzero(weights[0] == 0)[0])] = 0.7
    found = interval_or_none(values, weights, group_n)
    assert found is not None
    assert (found.mean, found.low, found.high) == (0.7, 0.7, 0.7)


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("groups", [1, 4, 10, 1000])
def test_shares_of_0_and_1_have_wilson_s_interval(share: float, groups: int) -> None:
    """Against SciPy's."""
    found = interval(np.full(2 * groups, share), [name for name in alone(groups) for _ in range(2)])
    expected = scipy.stats.binomtest(int(share) * groups, groups).proportion_ci(method="wilson")
    assert (found.low, found.high) == (pytest.approx(expected.low, abs=1e-9), pytest.approx(expected.high, abs=1e-9))


def test_a_metric_that_is_no_mean_has_the_interval_of_a_brute_force_bootstrap() -> None:
    """A ratio of sums, against a loop that repeats the rows of each drawn group."""
    rng = np.random.default_rng(5)
    pairs = rng.random((60, 2)) + 0.1
    groups = np.repeat(alone(20), 3).tolist()
    weights, group_n = bootstrap_weights(groups, samples=300, seed=0)
    values = values_of_sums(pairs, weights, group_n, lambda sums: np.sqrt(sums[..., 0]) / sums[..., 1])
    drawn = []
    for weight in weights:
        repeated = np.concatenate([pairs[group_n == g] for g in range(20) for _ in range(int(weight[g]))])
        drawn.append(np.sqrt(repeated[:, 0].sum()) / repeated[:, 1].sum())
    assert values is not None
    found = percentile_interval(values)
    assert found.mean == pytest.approx(np.sqrt(pairs[:, 0].sum()) / pairs[:, 1].sum())
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))
    assert found.low < found.high
    assert found.n == 60
    assert values_of_sums(pairs, weights, group_n, lambda sums: np.full(sums.shape[:-1], np.nan)) is None


def test_an_interval_over_part_of_the_groups_is_that_of_all_with_the_others_at_zero() -> None:
    rng = np.random.default_rng(6)
    values, groups = rng.random(90), np.repeat(alone(30), 3).tolist()
    weights, group_n = bootstrap_weights(groups, samples=400, seed=0)
    part = group_n % 3 == 0
    alone_in = interval_or_none(values[part], weights, group_n[part])
    among_all = interval_or_none(np.where(part, values, np.nan), weights, group_n)
    assert alone_in is not None
    assert among_all is not None
    assert vars(alone_in) == pytest.approx(vars(among_all), rel=1e-12)  # sums of other lengths round differently


def test_t_intervals_are_scipys() -> None:
    values = [0.95, 0.97, 0.9601]
    low, high = scipy.stats.t.interval(0.95, 2, loc=np.mean(values), scale=scipy.stats.sem(values))
    found = t_interval(values)
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((np.mean(values), low, high, 3))
    assert t_interval([0.5, 0.5]) == Interval(0.5, 0.5, 0.5, 2)
    with pytest.raises(ValueError, match="at least 2"):
        t_interval([1.0])
