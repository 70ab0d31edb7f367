"""Permutation tests and Holm's correction, against SciPy and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from imgloc.evaluation.permutation import holm, p_value, swaps


def permuted(difference_n: np.ndarray, samples: int) -> np.ndarray:
    return np.where(swaps(len(difference_n), samples=samples, seed=0), -1, 1) @ difference_n / len(difference_n)


def scipy_p(difference_n: np.ndarray, resamples: int) -> float:
    options = {"permutation_type": "samples", "n_resamples": resamples, "rng": np.random.default_rng(1)}
    return float(scipy.stats.permutation_test((difference_n,), lambda x, axis: x.mean(axis=axis), vectorized=True, **options).pvalue)


@pytest.mark.parametrize("kind", ["normal", "with ties"])
def test_all_permutations_of_few_images_give_scipys_p_value(kind: str) -> None:
    rng = np.random.default_rng(3)
    difference_n = rng.normal(0.4, 1, 10) if kind == "normal" else rng.integers(-1, 5, 10) / 3
    found = p_value(float(difference_n.mean()), permuted(difference_n, 1024), exact=True)
    assert found == pytest.approx(scipy_p(difference_n, 10**5), abs=1e-12)
    assert 0 < found < 1


def test_random_permutations_agree_with_scipys() -> None:
    difference_n = np.random.default_rng(4).normal(0.15, 1, 100)
    found = p_value(float(difference_n.mean()), permuted(difference_n, 20_000), exact=False)
    assert found == pytest.approx(scipy_p(difference_n, 20_000), abs=0.01)


def test_a_random_p_value_is_never_0_and_equal_runs_have_1() -> None:
    assert p_value(5.0, np.array([0.1, -0.2, np.nan]), exact=False) == pytest.approx(1 / 3)
    assert p_value(0.0, np.zeros(9), exact=False) == 1.0


def test_few_images_are_swapped_in_all_ways() -> None:
    every = swaps(4, samples=16, seed=0)
    assert len({tuple(row) for row in every.tolist()}) == 16
    assert not every[0].any()
    assert swaps(5, samples=16, seed=0).shape == (16, 5)
    assert not np.array_equal(swaps(5, samples=16, seed=0), swaps(5, samples=16, seed=1))


def test_holm_by_its_definition() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    rng = np.random.default_rng(0)
    for _ in range(20):
        p_values = rng.random(6) ** 3
        order = np.argsort(p_values)
        stepwise = [max(min(1, (6 - j) * p_values[order[j]]) for j in range(rank + 1)) for rank in range(6)]
        assert np.array(holm(p_values.tolist()))[order] == pytest.approx(stepwise)
