"""Columns that compare arms: the choice on validation, differences of paired seeds, and the seeds that a difference needs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from imgloc.experiments import comparisons
from imgloc.experiments.columns import metric
from imgloc.experiments.declared import Arm, Experiment, Table
from imgloc.experiments.tables import tables_text

#: Test values by arm and seed: validation prefers the rate that is worse on test.
TEST = {"cnn-1": (0.9, 0.8, 0.8), "cnn-2": (0.5, 0.6, 0.7)}
VALIDATION = {"cnn-1": 0.3, "cnn-2": 0.4}


def run(seed: int, test: float, best: float) -> dict[str, Any]:
    value = {"mean": test, "low": test, "high": test}
    return {"seed": seed, "results": {"test": {"top1": value}}, "validation": [[10, None], [20, best, 0.9], [30, best - 0.1, 1.0]]}


def cells(*columns: Any, rows: dict[str, str] | None = None, runs: dict[str, Any] | None = None) -> list[list[str]]:
    made = {name: [run(seed, value, VALIDATION[name]) for seed, value in enumerate(values)] for name, values in TEST.items()}
    experiment = Experiment({name: Arm("digits_cnn") for name in TEST}, (Table("arm", columns, rows or {}),))
    text = tables_text(experiment, {"runs": made if runs is None else runs})
    return [[cell.strip() for cell in line.split("|")[2:-1]] for line in text.splitlines()[2:]]


def test_validation_alone_chooses_an_arm() -> None:
    columns = (
        metric("top1", "first", arm="1"),
        comparisons.choice("chosen"),
        comparisons.of_chosen("top1", "top1", lambda v: f"{v[0]['mean']}"),
    )
    assert cells(*columns, rows={"cnn-{}": "CNN"}) == [["83.33 [68.99, 97.68]", "2", "0.5"]]
    assert comparisons.chosen({"runs": {"cnn-1": [{"seed": 0, "failed": "x"}]}}, "cnn-*") == "", "an unfinished run is not chosen"


def test_differences_are_those_of_equal_seeds() -> None:
    own = cells(metric("top1", ""), comparisons.against("cnn-1", "top1", "", digits=2), comparisons.validation(""))
    low, high = stats.t.interval(0.95, 2, loc=-70 / 3, scale=stats.sem([-40.0, -20.0, -10.0]))
    assert [row[1:] for row in own] == [["", "30.0"], [f"-23.33 [{low:+.2f}, {high:+.2f}]", "40.0"]]
    runs = {"cnn-1": [run(0, 0.9, 0.3)], "cnn-2": [run(seed, 0.5, 0.3) for seed in (0, 1)]}
    assert [row[1] for row in cells(metric("top1", ""), comparisons.against("cnn-1", "top1", ""), runs=runs)] == ["", ""], "one pair"


@pytest.mark.parametrize(("difference", "deviation"), [(0.01, 0.005), (0.02, 0.01), (0.005, 0.01), (1.0, 0.01)])
def test_the_seeds_of_a_difference_are_those_of_the_noncentral_t_distribution(difference: float, deviation: float) -> None:
    def power(k: int) -> float:
        shift, limit = difference / (deviation * math.sqrt(2 / k)), stats.t.ppf(0.975, 2 * (k - 1))
        return float(stats.nct.sf(limit, 2 * (k - 1), shift) + stats.nct.cdf(-limit, 2 * (k - 1), shift))

    expected = next(k for k in range(2, 200) if power(k) >= 0.8 or math.isnan(power(k)))
    assert comparisons.seeds_of(difference, deviation) == expected


def test_the_interval_of_a_deviation_covers_the_true_one() -> None:
    random = np.random.default_rng(0)
    bounds = [comparisons.deviations(list(random.normal(0, 2.0, 4))) for _ in range(2000)]
    assert 0.935 < np.mean([low <= 2.0 <= high for low, _, high in bounds]) < 0.965
    assert cells(metric("top1", ""), comparisons.seeds_needed("top1", 0.2, ""))[1][1].startswith("6 [")
