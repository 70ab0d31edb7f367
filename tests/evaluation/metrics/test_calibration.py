"""The expected calibration error against a count in plain Python, and its interval against a brute-force bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from imgloc.evaluation import scoring
from imgloc.evaluation.metrics import calibration
from imgloc.evaluation.statistics import bootstrap_weights
from imgloc.tasks import classify


def random_rows(n: int, *, groups: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(3)
    rows = []
    for i in range(n):
        score = float(rng.choice([rng.random(), 0.4, 1.0, 1 / 15]))
        right = rng.random() < score**2
        rows.append(
            {"id": f"{i:04d}", "group": f"g{i % groups}", "label": 1, "top_labels": [int(right)], "top_scores": [score], "boxes": []}
        )
    return rows


def counted(rows: list[dict[str, Any]]) -> float:
    """Equation 3 of the paper: bins (m - 1) / 15 < probability <= m / 15."""
    total = 0.0
    for m in range(1, 16):
        inside = [row for row in rows if (m - 1) / 15 < row["top_scores"][0] <= m / 15]
        if inside:
            accuracy = sum(row["top_labels"][0] == row["label"] for row in inside) / len(inside)
            confidence = sum(row["top_scores"][0] for row in inside) / len(inside)
            total += len(inside) / len(rows) * abs(accuracy - confidence)
    return total


def test_it_is_a_count() -> None:
    rows = random_rows(500, groups=100)
    assert scoring.means(rows)["calibration_error"] == pytest.approx(counted(rows))
    assert counted(rows) > 0.05
    certain = [{**row, "top_labels": [1], "top_scores": [1.0]} for row in rows]
    assert scoring.means(certain)["calibration_error"] == 0
    assert scoring.means([{**rows[0], "top_labels": [0], "top_scores": [0.0]}])["calibration_error"] == 0


def test_its_interval_is_that_of_a_bootstrap_that_repeats_rows() -> None:
    rows = random_rows(90, groups=30)
    found = scoring.intervals(rows, ("a", "b"), classify.TASK, samples=200)["calibration_error"]
    weights, group_n = bootstrap_weights([row["group"] for row in rows], samples=200, seed=scoring.BOOTSTRAP_SEED)
    drawn = [counted([row for row, g in zip(rows, group_n, strict=True) for _ in range(int(weight[g]))]) for weight in weights]
    assert found.mean == pytest.approx(counted(rows))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))
    assert found.n == 90
    assert found.low < found.mean < found.high


def test_lower_is_better() -> None:
    (metric,) = calibration.METRICS.metrics
    assert metric.sign == -1
    assert "calibration_error/class/b" in scoring.intervals(random_rows(60, groups=20), ("a", "b"), classify.TASK, samples=20)


def test_an_answer_that_is_not_finite_has_the_largest_gap() -> None:
    row = {"id": "a", "group": "a", "label": 0, "top_labels": [0], "top_scores": [0.001], "finite": False}
    assert scoring.means([row])["calibration_error"] == 1
