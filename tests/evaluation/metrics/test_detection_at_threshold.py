"""Precision, recall, F1 and the error of the count against pycocotools's matches and a count in plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc.detection.at_threshold import best_threshold
from imgloc.evaluation import scoring
from tests.detection.coco_oracle import as_coco, coco_evaluation, random_rows


def counts(rows: list[dict[str, Any]]) -> list[tuple[float, bool]]:
    """(score, right) of each detection that counts, by pycocotools's matches at an IoU of 50 %."""
    found = []
    for image in coco_evaluation(*as_coco(rows)).evalImgs:
        if image is not None and image["aRng"] == [0, 1e10]:
            for score, match, ignored in zip(image["dtScores"], image["dtMatches"][0], image["dtIgnore"][0], strict=True):
                found += [] if ignored else [(score, match > 0)]
    return found


def values_at(found: list[tuple[float, bool]], rows: list[dict[str, Any]], threshold: float) -> tuple[float, float, float]:
    """Precision, recall and F1."""
    used = [right for score, right in found if score >= threshold]
    true = sum(len(row["labels"]) for row in rows)
    right = sum(used)
    return (
        right / len(used) if used else float("nan"),
        right / true if true else float("nan"),
        2 * right / (len(used) + true) if used or true else float("nan"),
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), images=st.integers(1, 8), threshold=st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_they_are_counts(seed: int, images: int, threshold: float) -> None:
    rows = [{**row, "score_threshold": threshold} for row in random_rows(np.random.default_rng(seed), images)]
    found = scoring.means(rows)
    values = tuple(found.get(key, float("nan")) for key in ("precision", "recall", "f1"))
    assert values == pytest.approx(values_at(counts(rows), rows, threshold), nan_ok=True)
    errors = [abs(sum(score >= threshold for score, _ in counts([row])) - len(row["labels"])) for row in rows]
    assert found["count_error"] == pytest.approx(np.mean(errors))


def test_without_a_threshold_it_is_one_half() -> None:
    rows = random_rows(np.random.default_rng(1), 8)
    assert scoring.means(rows)["f1"] == scoring.means([{**row, "score_threshold": 0.5} for row in rows])["f1"]
    assert scoring.means(rows)["f1"] != scoring.means([{**row, "score_threshold": 0.1} for row in rows])["f1"]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), images=st.integers(1, 6))
def test_the_chosen_threshold_has_the_highest_f1(seed: int, images: int) -> None:
    rows = random_rows(np.random.default_rng(seed), images, grid=32)
    counted = counts(rows)
    best = max({score for score, _ in counted}, key=lambda score: (values_at(counted, rows, score)[2], score), default=0.5)
    assert best_threshold(rows) == (best if any(right for _, right in counted) else 0.5)


def test_many_detections_in_an_image_all_count() -> None:
    edge = np.arange(25) / 25
    corner = np.stack(np.meshgrid(edge, edge), axis=-1).reshape(-1, 2)
    boxes = np.concatenate([corner, corner + 0.04], axis=1).tolist()
    row = {
        "id": "a", "group": "a", "boxes": boxes, "labels": [0] * 625,
        "detected_boxes": boxes[:500], "detected_labels": [0] * 500, "detected_scores": [0.9] * 500,
    }  # fmt: skip
    found = scoring.means([row])
    assert (found["precision"], found["recall"], found["count_error"]) == (1, 0.8, 125)
