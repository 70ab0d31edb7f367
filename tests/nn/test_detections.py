"""Detections from dense predictions, against suppression written as its loop."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc import boxes
from imgloc.nn.detections import Suppression, nms, select_detections, soft_nms
from tests.refusals import assert_refused

select = jax.jit(select_detections, static_argnums=2)


def dense(seed: int, b: int = 2, locations: int = 40, classes: int = 3, levels: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random scores, on `levels` values where that is above 0 so that there are ties, and boxes that overlap much."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.01, 1, (b, locations, classes)).astype(np.float32)
    low = rng.uniform(-0.1, 0.5, (b, locations, 2))
    corners = np.concatenate([low, low + rng.uniform(0.2, 0.6, (b, locations, 2))], axis=-1).astype(np.float32)
    return np.round(scores * levels) / np.float32(levels) if levels else scores, corners


def greedy(scores_lxk: np.ndarray, boxes_lx4: np.ndarray, how: Suppression) -> list[tuple[float, int, tuple[float, ...]]]:
    """The detections of one image, one at a time."""
    clipped = np.clip(boxes_lx4, 0, 1)
    flat = [(-float(s), i) for i, s in enumerate(scores_lxk.reshape(-1))]
    candidates = [(-s, i % scores_lxk.shape[1], clipped[i // scores_lxk.shape[1]]) for s, i in sorted(flat)[: how.candidates]]
    kept: list[Any] = []
    while candidates:
        if how.soft_nms_sigma:
            best = max(range(len(candidates)), key=lambda i: candidates[i][0])
            score, label, box = candidates.pop(best)
            decay = [np.exp(-(boxes.iou(box, other) ** 2) / how.soft_nms_sigma) if k == label else 1.0 for _, k, other in candidates]
            candidates = [(s * factor, k, other) for factor, (s, k, other) in zip(decay, candidates, strict=True)]
        else:
            score, label, box = candidates.pop(0)
            candidates = [c for c in candidates if c[1] != label or boxes.iou(box, c[2]) <= how.nms_iou]
        kept.append((score, label, box))
    kept = sorted(kept[: how.max_detections] if how.soft_nms_sigma else kept, key=lambda each: -each[0])
    return [each for each in kept if each[0] >= how.min_score and each[0] > 0][: how.max_detections]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0, 5]), st.sampled_from([0.1, 0.5, 0.9]))
def test_nms_is_greedy_suppression_within_each_class(seed: int, levels: int, nms_iou: float) -> None:
    scores, corners = dense(seed, levels=levels)
    how = Suppression(max_detections=12, candidates=40, nms_iou=nms_iou, min_score=0.05)
    found = jax.device_get(select(scores, corners, how))
    for i in range(2):
        expected = greedy(scores[i], corners[i], how)
        count = len(expected)
        np.testing.assert_allclose(found["scores"][i][:count], [each[0] for each in expected], rtol=1e-6)
        assert found["labels"][i][:count].tolist() == [each[1] for each in expected]
        np.testing.assert_allclose(found["boxes"][i][:count], [each[2] for each in expected], atol=1e-7)
        assert not found["scores"][i][count:].any()
        assert not found["boxes"][i][count:].any()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.5, 2.0]))
def test_soft_nms_lowers_the_scores_of_duplicates(seed: int, sigma: float) -> None:
    scores, corners = dense(seed)
    how = Suppression(max_detections=15, candidates=40, soft_nms_sigma=sigma, min_score=0.0)
    found = jax.device_get(select(scores, corners, how))
    for i in range(2):
        expected = greedy(scores[i], corners[i], how)
        np.testing.assert_allclose(found["scores"][i], [each[0] for each in expected], rtol=1e-4)
        assert found["labels"][i].tolist() == [each[1] for each in expected]


def test_a_long_chain_of_suppressions_is_resolved() -> None:
    # Each candidate removes the next one alone, so that every second one is kept.
    chain = np.zeros((1, 300, 300), bool)
    chain[0, np.arange(299), np.arange(1, 300)] = True
    assert np.flatnonzero(jax.jit(nms)(chain)[0]).tolist() == list(range(0, 300, 2))


def test_soft_nms_of_separate_boxes_changes_no_score() -> None:
    scores = np.array([[0.9, 0.5, 0.0]], np.float32)
    np.testing.assert_array_equal(soft_nms(scores, np.eye(3, dtype=np.float32)[None], 0.5, 3), scores)


def test_there_are_always_as_many_places_as_asked_for() -> None:
    scores, corners = dense(0, locations=2, classes=1)
    found = select(scores, corners, Suppression(max_detections=7))
    assert {name: value.shape for name, value in found.items()} == {"boxes": (2, 7, 4), "scores": (2, 7), "labels": (2, 7)}
    nothing = select(np.zeros_like(scores), corners, Suppression(max_detections=7))
    assert not any(np.asarray(value).any() for value in nothing.values())


def test_a_score_that_is_not_finite_is_kept() -> None:
    scores, corners = dense(0)
    scores[0, 3, 1] = np.nan
    found = select(scores, corners, Suppression(max_detections=7))
    assert np.isnan(found["scores"][0]).any(), "the image would have no objects instead of no answer"
    assert np.isfinite(found["scores"][1]).all()


def test_ten_thousand_detections_cost_memory_for_candidates_alone() -> None:
    scores, corners = dense(0, b=1, locations=10_000, classes=1)
    found = select(scores, corners, Suppression(max_detections=10_000, candidates=100, nms_iou=1.0, min_score=0.0))
    assert np.count_nonzero(found["scores"]) == 100
    shape = functools.partial(jax.eval_shape, lambda s, c: select_detections(s, c, Suppression(max_detections=10_000, candidates=10_000)))
    assert shape(scores, corners)["boxes"].shape == (1, 10_000, 4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_detections": 0}, "model.max_detections is 0; possible: at least 1"),
        ({"nms_iou": 1.5}, "model.nms_iou must be from 0 to 1, got 1.5"),
        ({"min_score": -0.1}, "model.min_score must be from 0 to 1, got -0.1"),
        ({"soft_nms_sigma": -1.0}, "model.soft_nms_sigma must be at least 0 (0: NMS), got -1.0"),
    ],
)
def test_wrong_settings_are_refused(fields: dict[str, Any], message: str) -> None:
    assert_refused(lambda: Suppression(**fields).check(), message)
