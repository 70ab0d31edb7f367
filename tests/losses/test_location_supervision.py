"""The pull of a policy's places to an object's middle."""

from __future__ import annotations

import jax
import numpy as np

from imgloc.losses import location_supervision
from imgloc.types import Batch
from tests.refusals import assert_refused

RNG = np.random.default_rng(0)
BOXES = np.sort(RNG.random((3, 2, 2, 2), np.float32), axis=2).reshape(3, 2, 4)
MEANS = RNG.random((3, 4, 2), np.float32)


def batch_of(mask_bxn: list[list[bool]]) -> Batch:
    nothing: object = None
    return Batch(nothing, BOXES, nothing, np.array(mask_bxn), nothing, nothing, nothing)  # type: ignore[arg-type]


def test_it_is_the_mean_squared_distance_to_the_middle_of_the_largest_object() -> None:
    found = location_supervision.loss({"features": {"means": MEANS}}, batch_of([[True, True]] * 3))
    for i in range(3):
        middle = np.array([BOXES[i, 0, [0, 2]].mean(), BOXES[i, 0, [1, 3]].mean()])
        np.testing.assert_allclose(found[i], np.mean([np.sum((mean - middle) ** 2) for mean in MEANS[i]]), rtol=1e-5)


def test_an_image_without_a_box_neither_adds_nor_pulls() -> None:
    batch = batch_of([[True, False], [False, False], [True, True]])
    value, gradient = jax.value_and_grad(lambda means: location_supervision.loss({"features": {"means": means}}, batch).sum())(MEANS)
    assert value > 0
    gradient = np.asarray(gradient)
    assert np.abs(gradient[[0, 2]]).min() > 0
    assert not gradient[1].any()


def test_a_model_without_places_is_refused() -> None:
    assert_refused(lambda: location_supervision.loss({"logits": MEANS}, batch_of([[True, True]] * 3)), "needs the feature 'means'")


def test_a_feature_that_is_no_place_is_refused() -> None:
    """Numbers a step (b, s) would be stretched over the batch."""
    outputs = {"features": {"baselines": MEANS[..., 0]}}
    assert_refused(
        lambda: location_supervision.loss(outputs, batch_of([[True, True]] * 3), output="baselines"), "possible: a feature of places"
    )
