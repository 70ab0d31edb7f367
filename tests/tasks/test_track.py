from __future__ import annotations

import numpy as np
import pytest

from imgloc.evaluation import scoring
from imgloc.evaluation.metrics.single_object_tracking import per_row
from imgloc.tasks.track import TASK
from imgloc.types import NO_BOXES_0X4, NO_LABELS_0, Row, Tracks, Truth


def row(shift: float = 0.0, *, missing: int | None = None, finite: bool = True) -> Row:
    """A video of 20 frames with two objects, of which one is hidden in frames 5 to 9; predicted boxes are shifted."""
    low = np.linspace(0.1, 0.5, 20)[:, None, None] + np.array([[[0.0, 0.0], [0.2, 0.1]]])
    boxes = np.concatenate([low, low + 0.2], axis=-1).astype(np.float32)
    visible = np.ones((20, 2), np.float32)
    visible[5:10, 1] = 0
    truth = Truth(boxes[0], np.zeros(2, np.int32), 0, "a", 100, 50, tracks=Tracks(boxes, np.ones((20, 2), bool), visible))
    scores = np.ones((1, 20, 2), np.float32)
    if missing is not None:
        scores[0, :, missing] = 0
    moved = boxes[None] + np.float32([shift, 0, shift, 0])
    predictions = TASK.postprocess({"tracks": moved, "track_scores": scores}, np.array([[0, 0, 1, 1]], np.float32))
    return {**TASK.truth_columns(truth), **TASK.prediction_columns(predictions, 0), "id": "a", "group": "a", "finite": finite}


def test_perfect_tracks_have_the_best_value_of_every_metric() -> None:
    values = scoring.means([row()])
    assert values["success_auc"] == pytest.approx(20 / 21)  # no IoU exceeds 1
    for key in ("precision_20", "normalized_precision", "track_iou", "visible_iou", "accuracy", "robustness", "survival", "recovery"):
        assert values[key] == pytest.approx(1.0, abs=1e-6), key
    assert values["failures"] == 0
    assert values["mota"] == values["idf1"] == 1
    assert values["hota"] == pytest.approx(1.0)


def test_shifted_tracks_have_the_overlap_of_the_shift() -> None:
    values = {key: value[0] for key, value in per_row([row(0.05)]).items()}
    assert values["track_iou"] == pytest.approx(0.15 / 0.25, abs=1e-3)
    assert values["precision_20"] == 1.0
    assert values["failures"] == 0
    assert {key: value[0] for key, value in per_row([row(0.3)]).items()}["failures"] == 1


def test_a_track_that_is_missing_is_a_failure_of_its_object_alone() -> None:
    values = {key: value[0] for key, value in per_row([row(missing=1)]).items()}
    assert values["track_iou"] == pytest.approx(0.5, abs=1e-6)
    assert values["failures"] == 0.5
    assert values["survival"] == 0
    assert scoring.means([row(missing=1)])["mota"] == pytest.approx(0.5)


def test_an_answer_that_is_not_finite_has_the_worst_values() -> None:
    values = scoring.means([row(finite=False)])
    assert values["success_auc"] == 0
    assert values["failures"] == 1
    assert values["mota"] == values["idf1"] == values["hota"] == 0
    assert not TASK.card(row(finite=False), str).correct


def test_an_image_is_a_video_of_one_frame_and_one_without_objects_has_no_value() -> None:
    columns = TASK.truth_columns(Truth(np.array([[0.1, 0.1, 0.3, 0.3]], np.float32), np.zeros(1, np.int32), 0, "a", 10, 10))
    assert len(columns["track_boxes"][0]) == 1
    empty = {**TASK.truth_columns(Truth(NO_BOXES_0X4, NO_LABELS_0, -1, "b")), "pred_tracks": [], "pred_track_scores": []}
    assert all(np.isnan(value[0]) for value in per_row([empty]).values())
    assert TASK.gallery_score([empty]).tolist() == [0]


def test_a_card_counts_lost_objects() -> None:
    assert TASK.card(row(), str).correct
    card = TASK.card(row(missing=1), str)
    assert (card.true, card.predicted, card.correct) == ("2 objects, 20 frames", "1 lost", False)
