from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc.tracking import single_object
from imgloc.tracking.rows import overlaps


def otb_curves(truth_xywh: np.ndarray, found_xywh: np.ndarray) -> tuple[float, float]:
    """AUC and P@20 as OTB's MATLAB code counts them, with inclusive pixels, frame by frame (calcSeqErrRobust.m, perfPlot.m)."""
    errors, coverage = [], []
    for a, b in zip(truth_xywh, found_xywh, strict=True):
        errors.append(np.hypot(a[0] + (a[2] - 1) / 2 - b[0] - (b[2] - 1) / 2, a[1] + (a[3] - 1) / 2 - b[1] - (b[3] - 1) / 2))
        right, bottom = (min(a[i] + a[i + 2] - 1, b[i] + b[i + 2] - 1) - max(a[i], b[i]) + 1 for i in (0, 1))
        both = max(0, right) * max(0, bottom)
        coverage.append(both / (a[2] * a[3] + b[2] * b[3] - both))
    successes = [np.mean([c > threshold for c in coverage]) for threshold in np.arange(0, 1.01, 0.05)]
    return float(np.mean(successes)), float(np.mean([e <= 20 for e in errors]))


@given(st.integers(0, 2**32 - 1))
def test_success_and_precision_are_those_of_otb(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.concatenate([rng.uniform(0, 80, (30, 2)), rng.uniform(5, 40, (30, 2))], axis=1)
    found = np.maximum(truth + rng.normal(0, 12, truth.shape), 1)
    auc, at_20 = otb_curves(truth, found)
    a, b = (np.concatenate([each[:, :2], each[:, :2] + each[:, 2:]], axis=1) for each in (truth, found))
    assert single_object.success_auc(overlaps(a[None], b[None])[0]) == pytest.approx(auc, abs=1e-9)
    assert single_object.precision(single_object.center_errors(a, b)[0]) == pytest.approx(at_20, abs=1e-9)


def test_normalized_precision_is_the_area_over_shares_of_the_box() -> None:
    truth = np.tile([0.0, 0.0, 10.0, 20.0], (2, 1))
    moved = truth + np.array([[2.0, 0, 2, 0], [np.nan] * 4])
    errors = single_object.center_errors(truth, moved)
    np.testing.assert_allclose(errors[1], [0.2, np.inf])
    assert single_object.normalized_precision(errors[1]) == pytest.approx(31 / 51 / 2)  # 0.20 to 0.50 of 51 shares, one of two frames


def test_an_object_is_lost_after_ten_frames_without_overlap() -> None:
    iou = np.array([1.0] * 5 + [0.0] * 9 + [0.6] + [0.05] * 10)
    assert single_object.frames_until_lost(iou) == 15
    assert single_object.frames_until_lost(iou[:-1]) == 24
    accuracy, robustness = single_object.accuracy_and_robustness(iou)
    assert accuracy == pytest.approx(5.6 / 15)
    assert robustness == pytest.approx(15 / 25)
    absent = np.where(np.arange(25) == 20, np.nan, iou)  # a frame without an object ends the failure
    assert single_object.frames_until_lost(absent) == 25


def test_frames_without_an_object_do_not_count_as_robust() -> None:
    iou = np.array([0.8] * 10 + [np.nan] * 80 + [0.0] * 10)
    assert single_object.accuracy_and_robustness(iou) == (pytest.approx(0.8), 0.5)
    assert np.isnan(single_object.accuracy_and_robustness(np.full(3, np.nan))).all()


def test_occlusions_lie_between_two_times_at_which_the_object_is_seen() -> None:
    visible = np.array([0.1, 1, 0, 0.2, 1, 1, 0.0, 0.5, 0.0])
    assert single_object.occlusions(visible) == [(2, 4), (6, 7)]
    assert single_object.occlusions(np.zeros(3)) == []


def test_survival_is_at_once_and_recovery_within_ten_frames() -> None:
    visible = np.concatenate([[1.0], np.zeros(5), np.ones(20), np.zeros(5), np.ones(12)])
    iou = np.where(visible > 0, 0.9, 0.0)
    assert single_object.survived_and_recovered(iou, visible) == (1.0, 1.0)
    iou[6:10] = 0.2
    assert single_object.survived_and_recovered(iou, visible) == (0.5, 1.0)
    iou[31:41] = 0.2
    assert single_object.survived_and_recovered(iou, visible) == (0.0, 0.5)
    assert np.isnan(single_object.survived_and_recovered(iou, np.ones(len(iou)))).all()
