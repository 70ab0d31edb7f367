"""Metrics against a count in plain Python."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from imgloc.evaluation import scoring
from imgloc.evaluation.metrics import classification, localization
from imgloc.tasks.localize import best_iou


def overlap(a: list[float], b: list[float]) -> float:
    """IoU, counted out."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    total = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / total if total > 0 else 0.0


def random_rows(n: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)

    def box() -> list[float]:
        low = rng.uniform(0, 0.4, 2)
        return [*low.tolist(), *(low + rng.uniform(0.2, 0.6, 2)).tolist()]

    rows = []
    for i in range(n):
        top = rng.permutation(4).tolist()
        truth = [box() for _ in range(i % 4)]
        near = [edge + shift for edge, shift in zip(truth[-1], rng.uniform(-0.08, 0.08, 4), strict=True)] if truth else box()
        pred = near if i % 3 else box()
        label = int(rng.integers(4))
        labels = [label if k % 2 else int(rng.integers(4)) for k in range(len(truth))]
        rows.append({"id": f"{i:04d}", "label": label, "top_labels": top, "boxes": truth, "labels": labels, "pred_box": pred})
    return rows


def test_top1_is_a_count() -> None:
    rows = random_rows(200)
    expected = [1.0 if row["top_labels"][0] == row["label"] else 0.0 for row in rows]
    assert classification.per_row(rows)["top1"].tolist() == expected
    assert 0 < sum(expected) < 200


def test_localization_is_a_count() -> None:
    rows = random_rows(400)
    found = localization.per_row(rows)
    assert set(found) == {"mean_iou", *(f"{name}_{t}" for name in ("gt_known_loc", "top1_loc") for t in (30, 50, 70))}
    for i, row in enumerate(rows):
        own = [box for box, label in zip(row["boxes"], row["labels"], strict=True) if label == row["label"]]
        if not own:
            assert all(math.isnan(found[name][i]) for name in found)
            continue
        best = max(overlap(row["pred_box"], box) for box in own)
        assert found["mean_iou"][i] == pytest.approx(best, abs=1e-12)
        right = row["top_labels"][0] == row["label"]
        for percent in (30, 50, 70):
            assert found[f"gt_known_loc_{percent}"][i] == (best >= percent / 100)
            assert found[f"top1_loc_{percent}"][i] == (best >= percent / 100 and right)
    for name in found:
        if name != "mean_iou":
            assert 0 < np.nanmean(found[name]) < 1, f"{name} must not be all alike for this test to say anything"


def test_any_true_box_of_the_class_will_do_and_none_of_another() -> None:
    row = {
        "label": 1,
        "labels": [1, 1],
        "top_labels": [1],
        "pred_box": [0.5, 0.5, 1.0, 1.0],
        "boxes": [[0.0, 0.0, 0.4, 0.4], [0.5, 0.5, 1.0, 1.0]],
    }
    assert best_iou(row) == 1.0
    assert localization.per_row([row])["top1_loc_70"][0] == 1.0
    assert localization.per_row([{**row, "top_labels": [0, 1]}])["top1_loc_70"][0] == 0.0
    assert localization.per_row([{**row, "top_labels": [0, 1]}])["gt_known_loc_70"][0] == 1.0
    other = {**row, "labels": [1, 0]}  # the box is on an object of another class
    assert best_iou(other) == 0.0
    assert localization.per_row([other])["gt_known_loc_30"][0] == localization.per_row([other])["top1_loc_30"][0] == 0.0
    assert math.isnan(best_iou({**row, "labels": [0, 0]}))


def test_an_answer_that_is_not_finite_counts_as_wrong_and_is_counted() -> None:
    row = {
        "label": 1,
        "labels": [1],
        "top_labels": [1],
        "top_scores": [1.0],
        "pred_box": [0.0, 0.0, 1.0, 1.0],
        "boxes": [[0.0, 0.0, 1.0, 1.0]],
    }
    rows = [
        {**row, "finite": True},
        {**row, "finite": False},
        {**row, "finite": False},
        {**row, "boxes": [], "labels": [], "finite": False},
    ]
    means = scoring.means(rows)
    assert means["mean_iou"] == means["gt_known_loc_50"] == pytest.approx(1 / 3)  # of the three images with a box
    assert means["top1"] == pytest.approx(1 / 4)
    assert means["non_finite"] == pytest.approx(3 / 4)
    assert means["calibration_error"] == pytest.approx(3 / 4)  # all four answers claim a probability of 1
    assert "non_finite" not in scoring.means([row])


def test_a_threshold_is_reached_by_equality() -> None:
    row = {"label": 0, "top_labels": [0], "pred_box": [0.0, 0.0, 0.5, 1.0], "boxes": [[0.0, 0.0, 1.0, 1.0]], "labels": [0]}
    found = localization.per_row([row])
    assert (found["mean_iou"][0], found["gt_known_loc_50"][0], found["gt_known_loc_70"][0]) == (0.5, 1.0, 0.0)
