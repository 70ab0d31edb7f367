"""Errors by their kind against the numbers of tidecv, and their bootstrap against repeated images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgloc.evaluation import scoring
from imgloc.evaluation.metrics import detection_errors
from tests.detection.coco_oracle import random_rows

CASES = json.loads(Path(__file__).with_name("tidecv_numbers.json").read_text())  # see tidecv_numbers.py
NAMES = {"Cls": "class", "Loc": "localization", "Both": "both", "Dupe": "duplicate", "Bkg": "background", "Miss": "missed"}


@pytest.mark.parametrize("case", CASES)
def test_the_numbers_are_those_of_tidecv(case: dict[str, Any]) -> None:
    found = scoring.means([{**row, "score_threshold": 0.0} for row in case["rows"]])
    for short, kind in NAMES.items():
        assert found[f"error_{kind}"] == pytest.approx(case["gains"][short], abs=1e-9), kind
        assert found[f"error_{kind}_count"] * len(case["rows"]) == pytest.approx(case["counts"][short]), kind
    assert sum(case["counts"].values()) > 20


def test_the_cases_have_errors_of_each_kind() -> None:
    assert all(any(case["gains"][short] > 0.001 for case in CASES) for short in NAMES)


BOX, OFF, AWAY = [0.0, 0.0, 0.4, 0.4], [0.2, 0.0, 0.6, 0.4], [0.6, 0.6, 0.9, 0.9]  # the IoU of the first two is a third


@pytest.mark.parametrize(
    ("detected", "labels", "kind", "gain"),
    [
        ([BOX], [1], "class", 1.0), ([OFF], [0], "localization", 1.0), ([OFF], [1], "both", 0.0), ([AWAY], [0], "background", 0.0),
        ([BOX, BOX], [0, 0], "duplicate", 0.0), ([], [], "missed", 0.0),
    ],
)  # fmt: skip
def test_one_error_of_each_kind(detected: list[list[float]], labels: list[int], kind: str, gain: float) -> None:
    row = {
        "id": "a", "group": "a", "boxes": [BOX], "labels": [0],
        "detected_boxes": detected, "detected_labels": labels, "detected_scores": [0.9, 0.8][: len(labels)],
    }  # fmt: skip
    found = scoring.means([row])
    assert found.pop(f"error_{kind}_count") == 1
    assert found.get(f"error_{kind}", 0.0) == pytest.approx(gain)
    others = {key: value for key, value in found.items() if key.startswith("error_") and key.endswith("_count") and value}
    assert set(others) <= {"error_missed_count"}, "an object that no correction finds is missed too"
    assert bool(others) == (kind in ("both", "background"))


def test_a_resample_is_the_evaluation_of_repeated_images() -> None:
    rng = np.random.default_rng(4)
    rows = random_rows(rng, 12)
    for row in rows:
        row["detected_scores"] = np.sort(rng.random(len(row["detected_scores"])))[::-1].tolist()
    weights = rng.integers(0, 3, (15, 12))
    values = detection_errors.weighted(rows).values(weights.astype(np.float64))
    for r, weight_n in enumerate(weights):
        repeated = [row for row, weight in zip(rows, weight_n, strict=True) for _ in range(int(weight))]
        once = detection_errors.weighted(repeated).values(np.ones((1, len(repeated))))
        for key, value in once.items():
            assert values[key][r] == pytest.approx(value[0], abs=1e-9), key
    assert np.isnan(detection_errors.weighted(rows).values(np.zeros((1, 12)))["error_class_count"]).all()


def test_only_the_first_hundred_detections_of_an_image_count() -> None:
    row = {
        "id": "a", "group": "a", "boxes": [BOX], "labels": [0],
        "detected_boxes": [AWAY] * 150, "detected_labels": [0, 1] * 75, "detected_scores": np.linspace(0.9, 0.1, 150).tolist(),
    }  # fmt: skip
    assert scoring.means([{**row, "score_threshold": 0.0}])["error_background_count"] == 100
    above = scoring.means([{**row, "score_threshold": row["detected_scores"][9]}])
    assert above["error_background_count"] == 10
    assert above["error_background"] == scoring.means([row])["error_background"], "average precision reads all scores"
