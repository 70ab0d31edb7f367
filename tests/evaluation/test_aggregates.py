"""Interquartile means and performance profiles, against SciPy and numbers that rliable has computed (rliable.json)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from imgloc import files
from imgloc.evaluation.aggregates import aggregate_interval, drawn_scores, interquartile_interval, interquartile_mean, performance_profile

CASES: dict[str, dict[str, Any]] = files.read_json(Path(__file__).parent / "rliable.json")["cases"]


@pytest.mark.parametrize("name", CASES)
def test_interquartile_means_and_their_intervals_are_rliables(name: str) -> None:
    case = CASES[name]
    score_kxt = np.array(case["scores"])
    value, low, high = aggregate_interval(score_kxt, interquartile_mean, samples=20_000)
    assert value == pytest.approx(case["interquartile_mean"], abs=1e-12)
    assert value == pytest.approx(scipy.stats.trim_mean(score_kxt, 0.25, axis=None), abs=1e-12)
    noise = 0.03 * (case["interval"][1] - case["interval"][0])
    assert (low, high) == (pytest.approx(case["interval"][0], abs=noise), pytest.approx(case["interval"][1], abs=noise))


@pytest.mark.parametrize("name", CASES)
def test_performance_profiles_are_rliables(name: str) -> None:
    case = CASES[name]
    score_kxt, thresholds_s = np.array(case["scores"]), np.array(case["thresholds"])
    value, low, high = aggregate_interval(score_kxt, lambda each: performance_profile(each, thresholds_s), samples=20_000)
    np.testing.assert_allclose(value, case["profile"], atol=1e-12)
    step = 1 / score_kxt.size  # of a share; percentiles of two generators may lie at neighboring ones
    np.testing.assert_allclose(low, case["profile_low"], atol=step + 1e-9)
    np.testing.assert_allclose(high, case["profile_high"], atol=step + 1e-9)


def test_runs_are_drawn_for_each_task_by_itself() -> None:
    scores = np.array([[0.0, 10.0], [1.0, 11.0], [2.0, 12.0]])
    drawn = drawn_scores(scores, samples=500, seed=0)
    assert drawn.shape == (500, 3, 2)
    assert set(drawn[..., 0].ravel()) == {0.0, 1.0, 2.0}
    assert set(drawn[..., 1].ravel()) == {10.0, 11.0, 12.0}
    assert not np.array_equal(drawn[..., 0] + 10, drawn[..., 1])


def test_a_failed_run_of_five_changes_the_mean_and_not_the_interquartile_mean() -> None:
    good, failed = np.array([0.9, 0.91, 0.92, 0.93, 0.94]), np.array([0.0, 0.91, 0.92, 0.93, 0.94])
    values = [interquartile_interval(each, samples=200).mean for each in (good, failed)]
    assert values[0] == pytest.approx(values[1]) == pytest.approx(0.92)
    assert failed.mean() < 0.75
