"""The share of variance of each key, against values by hand and simulations with a known share."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from imgloc.evaluation.importance import importances


def test_the_share_is_the_adjusted_r_squared_of_group_means_by_hand() -> None:
    metric = np.array([1.0, 2.0, 4.0, 5.0, 9.0, 9.0])
    found = importances({"cell": ["a", "a", "b", "b", "c", "c"]}, metric)[0]
    # Means 1.5, 4.5 and 9; the sum of squares is 1 within the cells and 58 in all.
    assert found.share == pytest.approx(1 - (1 / 3) / (58 / 5))
    assert not found.parabola
    f = (57 / 2) / (1 / 3)
    for bound, probability in ((found.low, 0.975), (found.high, 0.025)):
        noncentrality = 6 * bound / (1 - bound)
        assert stats.ncf.cdf(f, 2, 3, noncentrality) == pytest.approx(probability, abs=1e-6)


@pytest.mark.parametrize(("count", "levels", "share"), [(24, 4, 0.3), (12, 4, 0.6), (40, 0, 0.5)])
def test_intervals_contain_the_true_share_in_about_95_of_100_sweeps(count: int, levels: int, share: float) -> None:
    rng = np.random.default_rng(0)
    places = np.arange(count) % levels if levels else rng.permutation(count)
    effect = np.array([0.0, 1.0, 3.0, 2.0])[places] if levels else (places / (count - 1) - 0.3) ** 2
    effect = (effect - effect.mean()) / effect.std() * np.sqrt(share / (1 - share))
    column = places.tolist() if levels else (10.0 ** (places / 9)).tolist()  # the parabola is over ranks
    found = [importances({"key": column}, effect + rng.normal(size=count))[0] for _ in range(300)]
    covered = np.mean([each.low <= share <= each.high for each in found])
    assert 0.91 <= covered <= 0.985  # 0.95 with three standard errors of 300 sweeps
    assert np.mean([each.share for each in found]) == pytest.approx(share, abs=0.04)
    assert found[0].parabola == (levels == 0)


def test_keys_without_an_effect_reach_zero_and_come_last() -> None:
    rng = np.random.default_rng(1)
    lr = np.repeat([1e-3, 1e-2, 1e-1], 10).tolist()
    found = importances({"noise": list(range(5)) * 6, "optim.lr": lr}, np.log10(lr) + rng.normal(0, 0.2, 30))
    assert [each.key for each in found] == ["optim.lr", "noise"]
    assert found[0].low > 0.6
    assert found[1].low == 0


def test_special_sweeps() -> None:
    assert importances({"a": [1, 2, 3]}, np.full(3, 0.7)) == [], "nothing varies"
    assert importances({}, np.array([1.0, 2.0])) == []
    assert importances({"a": []}, np.array([])) == []
    assert importances({"a": ["x", "y"]}, np.array([1.0, 2.0])) == [], "as many values as points"
    assert importances({"a": [1, 1, 1]}, np.array([1.0, 2.0, 3.0])) == [], "a key that does not differ"
    exact = importances({"a": [True, True, False, False]}, np.array([1.0, 1.0, 2.0, 2.0]))[0]
    assert (exact.share, exact.low, exact.high) == (1, 1, 1)
