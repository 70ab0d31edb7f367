"""Points of grids, at random and by Sobol sequences: their values, their spread, and what more points change."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from imgloc.sweeps import spaces
from tests.refusals import assert_refused

SPACE = {"optim.lr": spaces.log_uniform(1e-4, 1e-1), "model.width": spaces.integers(3, 6), "model.cell": ("lstm", "gru"),
         "model.dropout": spaces.uniform(0.0, 0.5)}  # fmt: skip


def test_a_grid_has_every_combination_once() -> None:
    found = list(spaces.grid({"optim.lr": [0.1, 0.2], "seed": range(3)}))
    assert found == [{"optim.lr": lr, "seed": seed} for lr, seed in itertools.product([0.1, 0.2], range(3))]


@pytest.mark.parametrize("draw", [spaces.random, spaces.sobol])
def test_points_are_in_the_space_evenly_and_more_points_keep_the_earlier_ones(draw) -> None:
    found = list(draw(SPACE, 512, seed=3))
    assert found[:100] == list(draw(SPACE, 100, seed=3))
    assert found[:5] != list(draw(SPACE, 5, seed=4))
    rates = np.log10([point["optim.lr"] for point in found])
    assert stats.kstest(rates, stats.uniform(-4, 3).cdf).pvalue > 0.01
    assert stats.kstest([point["model.dropout"] for point in found], stats.uniform(0, 0.5).cdf).pvalue > 0.01
    widths = [point["model.width"] for point in found]
    assert set(widths) == {3, 4, 5, 6}
    assert all(isinstance(width, int) for width in widths)
    assert stats.chisquare(np.bincount(widths)[3:]).pvalue > 0.01
    assert 0.4 < np.mean([point["model.cell"] == "gru" for point in found]) < 0.6


def test_a_sobol_sequence_fills_the_space_more_evenly_than_chance() -> None:
    space = {"a": spaces.uniform(0, 1), "b": spaces.uniform(0, 1)}
    spread = {}
    for draw in (spaces.random, spaces.sobol):
        cells = {(int(8 * min(point["a"], 0.999)), int(8 * min(point["b"], 0.999))) for point in draw(space, 64)}
        spread[draw] = len(cells)
    assert spread[spaces.sobol] == 64, "each of 64 cells has one of 64 points"
    assert spread[spaces.random] < 50


def test_numbers_have_few_digits_and_stay_in_their_range() -> None:
    for point in spaces.random({"a": spaces.log_uniform(0.00123456, 0.00123499)}, 50):
        assert 0.00123456 <= point["a"] <= 0.00123499
    assert all(len(f"{point['optim.lr']:g}") <= 9 for point in spaces.random(SPACE, 50))


def test_wrong_ranges_are_refused() -> None:
    assert_refused(lambda: spaces.uniform(1, 1), "low < high", "got 1 and 1")
    assert_refused(lambda: spaces.log_uniform(0, 1), "0 < low < high")
    assert_refused(lambda: spaces.Search({}, 3), "needs a space")
    assert_refused(lambda: spaces.Search(SPACE, 3, sampler="bayes"), "tpe, random, sobol", "'bayes'")  # type: ignore[arg-type]
