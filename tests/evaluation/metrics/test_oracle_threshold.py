"""The metric of the oracle threshold against a loop over thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely

from imgloc.evaluation import scoring
from imgloc.evaluation.metrics import oracle_threshold
from imgloc.score_maps.at_thresholds import THRESHOLDS


def random_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of two classes; every fifth image shows no object of its class, every seventh has a single box for all thresholds."""
    rng = np.random.default_rng(seed)

    def boxes(number: int) -> list[list[float]]:
        low = rng.uniform(0, 0.3, (number, 2))
        return np.concatenate([low, low + rng.uniform(0.4, 0.7, (number, 2))], axis=1).tolist()

    return [
        {
            "id": str(i), "group": str(i), "label": i % 2, "boxes": boxes(2), "labels": [1 - i % 2, i % 2 if i % 5 else 1 - i % 2],
            "gt_known_threshold_boxes": boxes(len(THRESHOLDS) if i % 7 else 1), "finite": i % 11 > 0,
        }
        for i in range(count)
    ]  # fmt: skip


def expected(rows: list[dict[str, Any]], at_least: float) -> float:
    best = 0.0
    for t in range(len(THRESHOLDS)):
        hits = []
        for row in rows:
            found = row["gt_known_threshold_boxes"]
            box = shapely.box(*found[t % len(found)])
            own = [shapely.box(*each) for each, label in zip(row["boxes"], row["labels"], strict=True) if label == row["label"]]
            if own:
                iou = max(box.intersection(each).area / box.union(each).area for each in own)
                hits.append(row["finite"] and iou >= at_least)
        best = max(best, float(np.mean(hits)))
    return best


@pytest.mark.parametrize("seed", [0, 1])
def test_the_best_threshold_of_the_rows(seed: int) -> None:
    rows = random_rows(40, seed)
    means = scoring.means(rows)
    found = [means[metric.key] for metric in oracle_threshold.METRICS.metrics]
    assert found == pytest.approx([expected(rows, iou) for iou in (0.3, 0.5, 0.7)])
    assert 1 > found[0] > found[1] > found[2] > 0


def test_each_sample_of_the_bootstrap_has_a_best_threshold_of_its_own() -> None:
    rows = random_rows(20)
    weights = np.random.default_rng(0).integers(0, 3, (5, 20)).astype(np.float64)
    values = oracle_threshold.weighted(rows).values(weights)["oracle_gt_known_loc_50"]
    for weight_n, value in zip(weights, values, strict=True):
        repeated = [row for row, weight in zip(rows, weight_n, strict=True) for _ in range(int(weight))]
        assert value == pytest.approx(expected(repeated, 0.5))


def test_rows_without_boxes_have_no_value() -> None:
    rows = [{**row, "boxes": [], "labels": []} for row in random_rows(4)]
    assert np.isnan(oracle_threshold.weighted(rows).values(np.ones((1, 4)))["oracle_gt_known_loc_50"]).all()
