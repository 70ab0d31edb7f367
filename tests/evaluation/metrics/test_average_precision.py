"""COCO's numbers against pycocotools, and their bootstrap against repeated images."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc.evaluation import scoring
from imgloc.evaluation.metrics import average_precision
from imgloc.evaluation.statistics import bootstrap_weights
from tests.detection.coco_oracle import NAMES, as_coco, coco_evaluation, coco_numbers, random_rows


def numbers(rows: list[dict[str, Any]]) -> dict[str, float]:
    values = average_precision.weighted(rows).values(np.ones((1, len(rows))))
    keys = [*NAMES, *(key for key in values if "/" in key and not key.startswith("ap75"))]
    return {key: float(values[key][0]) for key in keys if not np.isnan(values[key][0])}


def assert_equal(found: dict[str, float], expected: dict[str, float]) -> None:
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=1e-9), key


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), images=st.integers(1, 12), classes=st.integers(1, 4), most=st.sampled_from([0, 1, 4, 12]))
def test_the_numbers_are_those_of_pycocotools(seed: int, images: int, classes: int, most: int) -> None:
    rows = random_rows(np.random.default_rng(seed), images, classes=classes, most=most)
    assert_equal(numbers(rows), coco_numbers(*as_coco(rows)))


def test_the_comparison_sees_a_small_change() -> None:
    rows = random_rows(np.random.default_rng(1), 12)
    changed = copy.deepcopy(rows)
    row = next(row for row in changed if row["detected_scores"])
    row["detected_labels"][0] += 1
    with pytest.raises(AssertionError):
        assert_equal(numbers(changed), coco_numbers(*as_coco(rows)))


def test_many_detections_are_cut_as_in_pycocotools() -> None:
    """1, 10 and 100 detections of a class in an image."""
    rows = random_rows(np.random.default_rng(2), 3, classes=1, most=150)
    assert max(row["detected_labels"].count(0) for row in rows) > 100
    found = numbers(rows)
    assert_equal(found, coco_numbers(*as_coco(rows)))
    assert found["ar_1"] < found["ar_10"] < found["ar_100"]


@pytest.mark.parametrize("side", [32, 96])
def test_areas_on_the_edge_of_a_range_belong_to_both_ranges(side: int) -> None:
    box = [0.0, 0.0, side / 128, side / 128]
    row = {
        "id": "a", "group": "a", "width": 128, "height": 128, "boxes": [box], "labels": [0],
        "detected_boxes": [box], "detected_labels": [0], "detected_scores": [0.5],
    }  # fmt: skip
    found = numbers([row])
    assert_equal(found, coco_numbers(*as_coco([row])))
    assert found["ap_medium"] == found["ap_small" if side == 32 else "ap_large"] == pytest.approx(1)


def test_images_of_unknown_size_have_no_metrics_by_size() -> None:
    rows = random_rows(np.random.default_rng(3), 12)
    unknown = [{**row, "width": 0, "height": 0} for row in rows]
    found = scoring.means(unknown)
    assert found["ap"] == pytest.approx(scoring.means(rows)["ap"], abs=1e-12)
    assert not {"ap_small", "ap_medium", "ap_large", "ar_small"} & set(found)
    half = [*rows[:6], *unknown[6:]]
    assert scoring.means(half)["ap_medium"] == pytest.approx(coco_numbers(*as_coco(rows[:6]))["ap_medium"], abs=1e-9)


def test_rows_without_usable_outputs_have_no_detections() -> None:
    rows = random_rows(np.random.default_rng(4), 8)
    lost = [{**row, "finite": i > 3} for i, row in enumerate(rows)]
    nothing: dict[str, Any] = {"detected_boxes": [], "detected_labels": [], "detected_scores": []}
    emptied = [row if i > 3 else {**row, **nothing} for i, row in enumerate(rows)]
    assert_equal(numbers(lost), coco_numbers(*as_coco(emptied)))
    assert scoring.means(lost)["non_finite"] == 0.5


def test_difficult_objects_are_left_out() -> None:
    box, other = [0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]
    row = {
        "id": "a", "group": "a", "width": 9, "height": 9, "boxes": [box, other], "labels": [0, 0], "difficult": [False, True],
        "detected_boxes": [other, box], "detected_labels": [0, 0], "detected_scores": [0.9, 0.8],
    }  # fmt: skip
    assert numbers([row])["ap"] == pytest.approx(1)
    missed = {**row, "detected_boxes": [box], "detected_labels": [0], "detected_scores": [0.8]}
    assert numbers([missed])["ap"] == pytest.approx(1)
    assert numbers([{**missed, "difficult": [False, False]}])["ap"] == pytest.approx(51 / 101)
    assert numbers([{**row, "boxes": [box], "labels": [0], "difficult": [False]}])["ap"] == pytest.approx(0.5)


def test_a_resample_is_the_evaluation_of_repeated_images() -> None:
    """Every number of 20 resamples, with intervals over groups of two images; scores differ, as ties have no defined order."""
    rng = np.random.default_rng(5)
    rows = [{**row, "group": f"g{i // 2}"} for i, row in enumerate(random_rows(rng, 10))]
    for row in rows:
        row["detected_scores"] = np.sort(rng.random(len(row["detected_scores"])))[::-1].tolist()
    weights_rxg, group_n = bootstrap_weights([row["group"] for row in rows], samples=20, seed=scoring.BOOTSTRAP_SEED)
    values = average_precision.weighted(rows).values(weights_rxg[:, group_n])
    drawn = []
    for r, weight_g in enumerate(weights_rxg):
        repeated = [row for row, group in zip(rows, group_n, strict=True) for _ in range(int(weight_g[group]))]
        expected = coco_numbers(*as_coco(repeated))
        assert_equal({key: float(values[key][r]) for key in expected}, expected)
        drawn.append(expected["ap"])
    found = scoring.intervals(rows, ("a", "b", "c"), None, samples=20)
    assert (found["ap"].low, found["ap"].high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))
    assert found["ap"].low < found["ap"].mean < found["ap"].high
    assert found["ap"].n == 10
    assert found["ap/class/b"].n == sum(1 in row["labels"] for row in rows)


def test_hostile_rows() -> None:
    row = random_rows(np.random.default_rng(8), 1)[0]
    empty = {"boxes": [], "labels": [], "detected_boxes": [], "detected_labels": [], "detected_scores": []}
    assert "ap" not in scoring.means([{**row, **empty, "crowd_boxes": [], "crowd_labels": []}])
    for wrong in (
        {"labels": [0], "boxes": []},
        {"detected_boxes": [[0, 0, 1, 1]], "detected_labels": [0], "detected_scores": []},
        {"detected_boxes": [[0, 0, 1, float("nan")]], "detected_labels": [0], "detected_scores": [0.5]},
        {"boxes": [[0, 0, 1]], "labels": [0]},
    ):
        with pytest.raises(scoring.UserError) as error:
            scoring.means([{**row, **empty, **wrong}])
        assert "\n" not in str(error.value)
        assert row["id"] in str(error.value)


def test_ten_thousand_objects_in_an_image() -> None:
    edge = np.arange(100) / 100
    corner = np.stack(np.meshgrid(edge, edge), axis=-1).reshape(-1, 2)
    boxes = np.concatenate([corner, corner + 0.01], axis=1)
    row = {
        "id": "a", "group": "a", "width": 1000, "height": 1000, "boxes": boxes.tolist(), "labels": [0] * 10_000,
        "detected_boxes": boxes.tolist(), "detected_labels": [0] * 10_000, "detected_scores": [0.9] * 10_000,
    }  # fmt: skip
    assert numbers([row])["ar_100"] == pytest.approx(0.01)


@pytest.mark.slow
def test_a_file_of_the_size_of_coco() -> None:
    """5,000 images, 36,000 detections and 80 classes."""
    rows = random_rows(np.random.default_rng(9), 5000, classes=79, most=5)
    assert sum(len(row["detected_scores"]) for row in rows) > 34_000
    assert_equal(numbers(rows), coco_numbers(*as_coco(rows)))
    assert coco_evaluation(*as_coco(rows[:5])).stats[0] > -1
