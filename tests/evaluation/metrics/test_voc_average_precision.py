"""Pascal VOC's average precision against a count in plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc.evaluation import scoring
from imgloc.evaluation.metrics import voc_average_precision
from tests.detection.coco_oracle import random_rows


def overlap(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / union if both else 0.0


def expected(rows: list[dict[str, Any]], label: int) -> tuple[float, float] | None:
    """(with 11 points, area) of a class, one detection after the other; None without objects."""
    positives = sum(own == label and not hard for row in rows for own, hard in zip(row["labels"], row["difficult"], strict=True))
    if not positives:
        return None
    ranked = [
        (score, number, box)
        for number, row in enumerate(rows)
        for score, box, own in zip(row["detected_scores"], row["detected_boxes"], row["detected_labels"], strict=True)
        if own == label
    ]
    right, wrong, points, taken = 0, 0, [], set()
    for _, number, box in sorted(ranked, key=lambda entry: -entry[0]):
        row = rows[number]
        candidates = [(overlap(box, true), -i) for i, true in enumerate(row["boxes"]) if row["labels"][i] == label]
        best, index = max(candidates, default=(0.0, 0))
        if best >= 0.5 and row["difficult"][-index]:
            continue
        if best >= 0.5 and (number, index) not in taken:
            taken.add((number, index))
            right += 1
        else:
            wrong += 1
        points.append((right / positives, right / (right + wrong)))
    eleven = sum(max((p for r, p in points if r >= k / 10), default=0.0) for k in range(11)) / 11
    area, before = 0.0, 0.0
    for i, (recall, _) in enumerate(points):
        area += (recall - before) * max(p for _, p in points[i:])
        before = recall
    return eleven, area


def voc_rows(seed: int, images: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, images, grid=32)  # edges without rounding: an IoU of 1/2 is one
    return [
        {**{k: v for k, v in row.items() if "crowd" not in k}, "difficult": (rng.random(len(row["labels"])) < 0.2).tolist()} for row in rows
    ]


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), images=st.integers(1, 15))
def test_it_is_a_count(seed: int, images: int) -> None:
    rows = voc_rows(seed, images)
    values = {key: value[0] for key, value in voc_average_precision.weighted(rows).values(np.ones((1, images))).items()}
    by_class = {label: pair for label in range(5) if (pair := expected(rows, label)) is not None}
    assert {key for key in values if "/" in key} == {f"{key}/class/{label}" for key in ("voc_ap_11", "voc_ap_area") for label in by_class}
    for label, (eleven, area) in by_class.items():
        assert values[f"voc_ap_11/class/{label}"] == pytest.approx(eleven, abs=1e-9)
        assert values[f"voc_ap_area/class/{label}"] == pytest.approx(area, abs=1e-9)
    if by_class:
        assert values["voc_ap_11"] == pytest.approx(np.mean([eleven for eleven, _ in by_class.values()]), abs=1e-9)
    else:
        assert np.isnan(values["voc_ap_11"])


def test_difficult_objects_and_second_matches() -> None:
    box = [0.0, 0.0, 0.5, 0.5]
    row = {
        "id": "a", "group": "a", "boxes": [box], "labels": [0], "difficult": [False],
        "detected_boxes": [box, box], "detected_labels": [0, 0], "detected_scores": [0.9, 0.8],
    }  # fmt: skip
    other = {**row, "difficult": [True], "detected_scores": [0.95, 0.85]}
    assert scoring.means([row])["voc_ap_area"] == pytest.approx(1)
    assert scoring.means([row, other])["voc_ap_area"] == pytest.approx(1)
    assert scoring.means([{**row, "boxes": [box, box], "labels": [0, 0], "difficult": [False] * 2}])["voc_ap_area"] == pytest.approx(0.5)
    assert "voc_ap_area" not in scoring.means([other])


def test_a_resample_is_the_evaluation_of_repeated_images() -> None:
    rng = np.random.default_rng(3)
    rows = voc_rows(3, 12)
    for row in rows:
        row["detected_scores"] = np.sort(rng.random(len(row["detected_scores"])))[::-1].tolist()
    weights = rng.integers(0, 3, (10, 12))
    values = voc_average_precision.weighted(rows).values(weights.astype(np.float64))
    for r, weight_n in enumerate(weights):
        repeated = [row for row, weight in zip(rows, weight_n, strict=True) for _ in range(int(weight))]
        for label in range(3):
            assert (values[f"voc_ap_11/class/{label}"][r], values[f"voc_ap_area/class/{label}"][r]) == pytest.approx(
                expected(repeated, label) or (np.nan, np.nan), abs=1e-9, nan_ok=True
            )
