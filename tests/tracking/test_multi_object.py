"""MOTA, IDF1 and HOTA against TrackEval 1.3.0 (write_oracles.py wrote its numbers)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgloc.evaluation.metrics import multi_object_tracking
from imgloc.tracking.multi_object import clear, hota, hota_of, identity, idf1_of, mota_of, pairwise

ORACLE = json.loads(Path(__file__).with_name("trackeval.json").read_text())
VIDEOS = range(len(ORACLE["truth"]))


def rows() -> list[dict[str, Any]]:
    """The tracks as rows of videos of 100 x 100 pixels."""

    def scaled(tracks: list[Any]) -> list[Any]:
        return [[box and [edge / 100 for edge in box] for box in track] for track in tracks]

    return [
        {
            "track_boxes": scaled(truth), "track_visible": [[1.0] * len(track) for track in truth], "pred_tracks": scaled(found),
            "started": 0, "width": 100, "height": 100,
        }
        for truth, found in zip(ORACLE["truth"], ORACLE["found"], strict=True)
    ]  # fmt: skip


def as_array(tracks: list[Any]) -> np.ndarray:
    return np.array([[box or [np.nan] * 4 for box in track] for track in tracks])


@pytest.mark.parametrize("video", VIDEOS)
def test_the_counts_of_a_video_are_those_of_trackeval(video: int) -> None:
    overlaps = pairwise(as_array(ORACLE["truth"][video]), as_array(ORACLE["found"][video]))
    expected = ORACLE["videos"][video]
    counts, oracle = clear(overlaps), expected["CLEAR"]
    assert counts == (oracle["CLR_TP"], oracle["CLR_FP"], oracle["CLR_FN"], oracle["IDSW"])
    assert mota_of(np.array(counts, float)) == pytest.approx(oracle["MOTA"], abs=1e-12)
    counts, oracle = identity(overlaps), expected["Identity"]
    assert counts == (oracle["IDTP"], oracle["IDFP"], oracle["IDFN"])
    assert idf1_of(np.array(counts, float)) == pytest.approx(oracle["IDF1"], abs=1e-12)
    found, oracle = hota(overlaps), expected["HOTA"]
    np.testing.assert_array_equal(found.matches_a, oracle["HOTA_TP"])
    np.testing.assert_array_equal(found.false_positives_a, oracle["HOTA_FP"])
    np.testing.assert_array_equal(found.misses_a, oracle["HOTA_FN"])
    np.testing.assert_allclose(found.association_a / np.maximum(found.matches_a, 1), oracle["AssA"], atol=1e-12)
    assert hota_of(np.concatenate(found)) == pytest.approx(np.mean(oracle["HOTA"]), abs=1e-12)


def test_the_metrics_of_all_videos_are_those_of_trackeval() -> None:
    sums = {key: value.sum(axis=0) for key, value in multi_object_tracking.statistics(rows()).items()}
    combined = ORACLE["combined"]
    expected = {"mota": combined["CLEAR"]["MOTA"], "idf1": combined["Identity"]["IDF1"], "hota": float(np.mean(combined["HOTA"]["HOTA"]))}
    for metric in multi_object_tracking.METRICS.metrics:
        assert float(metric.value(sums[metric.key])) == pytest.approx(expected[metric.key], abs=1e-9)
    assert len({round(value, 3) for value in expected.values()}) == 3


def test_a_video_without_predictions_has_misses_alone() -> None:
    truth = as_array(ORACLE["truth"][0])
    overlaps = pairwise(truth, np.zeros((0, truth.shape[1], 4)))
    boxes = float((~np.isnan(truth[..., 0])).sum())
    assert clear(overlaps) == (0, 0, boxes, 0)
    assert identity(overlaps) == (0, 0, boxes)
    assert hota_of(np.concatenate(hota(overlaps))) == 0


def test_a_perfect_tracker_has_the_best_values_and_a_swap_costs() -> None:
    truth = as_array(ORACLE["truth"][1])
    truth = np.where(np.isnan(truth), np.arange(4.0) + 3, truth)
    swapped = truth.copy()
    swapped[:2, 3:] = swapped[1::-1, 3:]
    values = []
    for found in (truth, swapped):
        overlaps = pairwise(truth, found)
        values.append([mota_of(np.array(clear(overlaps))), idf1_of(np.array(identity(overlaps))), hota_of(np.concatenate(hota(overlaps)))])
    np.testing.assert_allclose(values[0], 1.0)
    assert np.all(np.array(values[1]) < 1)
