"""Losses of a dense detector: their values by hand, and what the rules of assignment give to locations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from jax.test_util import check_grads

from imgloc import boxes
from imgloc.losses import dense_box, dense_class
from imgloc.losses.assignments import center, fcos, task_aligned
from imgloc.losses.geometry.dense_targets import DensePredictions
from imgloc.losses.geometry.locations import contains_center, distances_in_cells
from imgloc.types import Batch
from tests.refusals import assert_refused


def cells(side: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side].reshape(2, -1) / side
    return np.stack([x, y, x + 1 / side, y + 1 / side], axis=-1).astype(np.float32)


def example(seed: int = 0, b: int = 3, n: int = 4, k: int = 3) -> tuple[dict[str, np.ndarray], Batch]:
    rng = np.random.default_rng(seed)
    every = np.concatenate([cells(8), cells(4)])
    low = rng.uniform(0, 0.5, (b, n, 2))
    objects = np.concatenate([low, low + rng.uniform(0.2, 0.5, (b, n, 2))], axis=-1).astype(np.float32)
    mask = np.arange(n) < rng.integers(0, n + 1, b)[:, None]
    mask[0], mask[1] = True, False
    grown = every + np.float32([-0.1, -0.1, 0.1, 0.1]) * rng.uniform(0.5, 1.5, (b, len(every), 4)).astype(np.float32)
    outputs = {
        "dense_logits": rng.normal(size=(b, len(every), k)).astype(np.float32),
        "dense_boxes": grown,
        "cells": np.broadcast_to(every, (b, *every.shape)),
    }
    blank = np.zeros(b, np.int32)
    labels = rng.integers(0, k, (b, n)).astype(np.int32)
    return outputs, Batch(np.zeros((b, 1, 1, 1), np.uint8), objects, labels, mask, blank, blank == 0, np.zeros((b, 4), np.float32))


def assigned(rule: Any, outputs: dict[str, np.ndarray], batch: Batch, i: int) -> Any:
    dense = DensePredictions(outputs["cells"][i], scipy.special.expit(outputs["dense_logits"][i]), outputs["dense_boxes"][i])
    return jax.jit(rule.assign)(dense, batch.boxes_bxnx4[i], batch.labels_bxn[i], batch.object_mask_bxn[i])


@pytest.mark.parametrize("rule", [task_aligned, fcos, center])
def test_losses_are_those_of_their_equations(rule: Any) -> None:
    outputs, batch = example()
    name = rule.__name__.rpartition(".")[2]
    classes, places, complete = jax.jit(
        lambda outputs, batch: (
            dense_class.loss(outputs, batch, assignment=name),
            dense_box.loss(outputs, batch, assignment=name),
            dense_box.loss(outputs, batch, assignment=name, similarity="ciou"),
        )
    )(outputs, batch)
    for i in range(3):
        given = assigned(rule, outputs, batch, i)
        quality, index = np.asarray(given.quality_l, np.float64), np.asarray(given.object_l)
        target = np.zeros(outputs["dense_logits"][i].shape)
        for location in np.flatnonzero(quality):
            target[location, batch.labels_bxn[i, index[location]]] = quality[location]
        p = scipy.special.expit(outputs["dense_logits"][i].astype(np.float64))
        entropy = -target * np.log(p) - (1 - target) * np.log(1 - p)
        entropy[np.asarray(given.ignored_l)] = 0
        unit = max(quality.sum(), 1)
        assert classes[i] == pytest.approx((np.abs(target - p) ** 2 * entropy).sum() / unit, rel=1e-4)
        true, guess = batch.boxes_bxnx4[i, index], outputs["dense_boxes"][i]
        assert places[i] == pytest.approx(((1 - boxes.giou(guess, true)) * quality).sum() / unit, rel=1e-4, abs=1e-6)
        assert complete[i] == pytest.approx(((1 - boxes.ciou(guess, true)) * quality).sum() / unit, rel=1e-4, abs=1e-6)
    assert places[1] == 0, "an image without objects has no box to learn"
    assert classes[1] > 0, "its locations learn that they show nothing"


def test_complete_iou_is_that_of_pixels_in_an_image_that_is_no_square() -> None:
    height, width, stride = 32, 64, 8
    y, x = np.mgrid[: height // stride, : width // stride].reshape(2, -1) * stride
    every = np.stack([x, y, x + stride, y + stride], axis=-1)  # in pixels
    truth, guess = np.float64([[[8, 8, 40, 24]]]), every + np.float64([-6, -2, 9, 5])
    unit = np.float64([width, height, width, height])
    outputs = {"dense_logits": np.zeros((1, len(every), 1), np.float32), "dense_boxes": np.float32(guess / unit)[None]}
    outputs["cells"] = np.float32(every / unit)[None]
    one = np.zeros(1, np.int32)
    present, content = np.ones((1, 1), bool), np.zeros((1, 4), np.float32)
    batch = Batch(np.zeros((1, 1, 1, 1), np.uint8), np.float32(truth / unit), one[None], present, one, one == 0, content)
    loss = dense_box.loss(outputs, batch, assignment="tests.losses.fixed_assignment", similarity="ciou")
    inside = np.asarray(contains_center(outputs["cells"][0], batch.boxes_bxnx4[0], np.array([True])))[0]
    assert loss[0] == pytest.approx((1 - boxes.ciou(guess, np.broadcast_to(truth[0], guess.shape)))[inside].mean(), rel=1e-5)


def test_gradients_are_those_of_finite_differences() -> None:
    outputs, batch = example(b=2)
    for loss in (dense_class.loss, dense_box.loss):  # with a rule that does not depend on the predictions, which are not constants here

        def total(logits: Any, corners: Any, loss: Any = loss) -> Any:
            dense = {**outputs, "dense_logits": logits, "dense_boxes": corners}
            return loss(dense, batch, assignment="tests.losses.fixed_assignment").sum()

        with jax.enable_x64(True):
            check_grads(total, tuple(outputs[name].astype(np.float64) for name in ("dense_logits", "dense_boxes")), order=1, modes=["rev"])


def test_a_learned_assignment_prefers_locations_that_predict_well() -> None:
    every = cells(8)
    truth = np.float32([[0.25, 0.25, 0.75, 0.75]])
    guess = np.broadcast_to(truth, (64, 4)).copy()
    guess[::2] += np.float32([-0.2, -0.2, 0.2, 0.2])  # every second column predicts a box that is too large
    dense = DensePredictions(every, np.full((64, 1), 0.5, np.float32), guess)
    quality = np.asarray(task_aligned.assign(dense, truth, np.array([0]), np.array([True])).quality_l).reshape(8, 8)
    np.testing.assert_allclose(quality[2:6, 3::2][:, :2], 1, rtol=1e-6)
    assert quality[2:6, 2:6:2].max() < 0.1
    assert not quality[:2].any(), "locations outside of the object"


def test_fcos_divides_sizes_among_maps() -> None:
    every = np.concatenate([cells(32), cells(16)])
    large, small = np.float32([[0.1, 0.1, 0.9, 0.9]]), np.float32([[0.4, 0.4, 0.5, 0.5]])
    guess = every + np.float32([-0.1, -0.1, 0.1, 0.1])
    for box, on_coarse in ((large, True), (small, False)):
        dense = DensePredictions(every, np.full((len(every), 1), 0.5, np.float32), guess)
        positive = np.flatnonzero(fcos.assign(dense, box, np.array([0]), np.array([True])).quality_l)
        assert len(positive)
        assert ((positive >= 32**2) == on_coarse).all()


@pytest.mark.parametrize("rule", [task_aligned, fcos, center])
@pytest.mark.parametrize("box", [(6.5, 6.5, 9.5, 9.5), (6, 4, 10, 104), (4, 6, 104, 10), (60, 60, 61, 61), (0, 0, 128, 128)])
def test_every_object_has_a_location(rule: Any, box: tuple[float, ...]) -> None:
    every = np.concatenate([cells(16), cells(8), cells(4)])  # strides 8, 16 and 32 of 128 pixels
    dense = DensePredictions(every, np.full((len(every), 1), 0.5, np.float32), every + np.float32([-0.1, -0.1, 0.1, 0.1]))
    given = rule.assign(dense, np.float32([box]) / 128, np.array([0]), np.array([True]))
    assert np.asarray(given.quality_l).any()


def test_the_center_rule_gives_each_object_one_location_and_ignores_those_around_it() -> None:
    every = np.concatenate([cells(16), cells(8)])
    truth = np.float32([[0.3, 0.3, 0.55, 0.55], [0.0, 0.0, 1.0, 1.0]])
    dense = DensePredictions(every, np.full((len(every), 2), 0.5, np.float32), every + np.float32([-0.1, -0.1, 0.1, 0.1]))
    given = center.assign(dense, truth, np.array([0, 1]), np.array([True, True]))
    positive = np.flatnonzero(given.quality_l)
    assert sorted(np.asarray(given.object_l)[positive].tolist()) == [0, 1]
    assert positive[0] == 6 * 16 + 6
    assert np.asarray(given.ignored_l).any()
    assert not np.asarray(given.ignored_l)[positive].any()


def test_locations_lie_in_and_around_objects() -> None:
    every = cells(4)
    tiny, wide = np.float32([0.51, 0.51, 0.52, 0.52]), np.float32([0.0, 0.3, 1.0, 0.45])
    inside = np.asarray(contains_center(every, np.stack([tiny, wide, wide]), np.array([True, True, False])))
    assert np.flatnonzero(inside[0]).tolist() == [10], "the nearest cell of an object without a center"
    assert np.flatnonzero(inside[1]).tolist() == [4, 5, 6, 7]
    assert not inside[2].any()
    np.testing.assert_allclose(distances_in_cells(every, wide[None])[0, 5], [1.5, 0.3, 2.5, 0.3], atol=1e-5)


def test_an_unknown_rule_or_similarity_is_refused() -> None:
    outputs, batch = example()
    assert_refused(lambda: dense_class.loss(outputs, batch, assignment="task_align"), "unknown assignment 'task_align'", "task_aligned")
    assert_refused(lambda: dense_box.loss(outputs, batch, similarity="dice"), "unknown similarity", "ciou, diou, giou, iou")


def test_memory_grows_in_proportion_to_objects_and_locations() -> None:
    def largest(n: int, side: int) -> int:
        every = jax.ShapeDtypeStruct((side**2, 4), jnp.float32)
        dense = DensePredictions(every, jax.ShapeDtypeStruct((side**2, 2), jnp.float32), every)
        objects = (jax.ShapeDtypeStruct((n, 4), jnp.float32), jax.ShapeDtypeStruct((n,), jnp.int32), jax.ShapeDtypeStruct((n,), jnp.bool_))
        jaxpr = jax.make_jaxpr(task_aligned.assign)(dense, *objects)
        return max(v.aval.size for eqn in jaxpr.eqns for v in eqn.outvars if hasattr(v.aval, "size"))

    assert largest(200, 16) <= 2.1 * largest(100, 16)
    assert largest(100, 32) <= 4.1 * largest(100, 16)
