"""The squared distance of a policy's places to the center of the object."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from imgloc.losses import location_supervision
from imgloc.training.objective import check_losses, make_losses
from imgloc.types import Batch
from tests.refusals import assert_refused

RNG = np.random.default_rng(0)
BOXES = np.sort(RNG.random((3, 2, 2, 2), np.float32), axis=2).reshape(3, 2, 4)
MEANS = RNG.random((3, 4, 2), np.float32)


def batch_of(mask_bxn: list[list[bool]]) -> Batch:
    unused: Any = None
    return Batch(unused, BOXES, unused, np.array(mask_bxn), unused, unused, unused)


def check_outputs(outputs: dict[str, Any], output: str = "means") -> None:
    losses = make_losses(ConfigDict({"location_supervision": {"name": "location_supervision", "weight": 1.0, "output": output}}))
    check_losses(losses, outputs, "some_model", 3, 4)


def test_it_is_the_mean_squared_distance_to_the_center_of_the_largest_object() -> None:
    loss_b = location_supervision.loss({"features": {"means": MEANS}}, batch_of([[True, True]] * 3))
    for i in range(3):
        center = np.array([BOXES[i, 0, [0, 2]].mean(), BOXES[i, 0, [1, 3]].mean()])
        np.testing.assert_allclose(loss_b[i], np.mean([np.sum((mean - center) ** 2) for mean in MEANS[i]]), rtol=1e-5)


def test_an_image_without_a_box_has_no_loss_and_no_gradient() -> None:
    batch = batch_of([[True, False], [False, False], [True, True]])
    value, gradient = jax.value_and_grad(lambda means: location_supervision.loss({"features": {"means": means}}, batch).sum())(MEANS)
    assert value > 0
    gradient = np.asarray(gradient)
    assert np.abs(gradient[[0, 2]]).min() > 0
    assert not gradient[1].any()


def test_a_model_without_places_is_refused() -> None:
    check_outputs({"features": {"means": MEANS}})
    assert_refused(lambda: check_outputs({"logits": MEANS}), "needs the output 'features/means'")


def test_a_feature_that_is_not_a_place_is_refused() -> None:
    """One number a place, (b, c), would be broadcast over the batch."""
    outputs = {"features": {"baselines": MEANS[..., 0]}}
    assert_refused(lambda: check_outputs(outputs, output="baselines"), "'features/baselines' of shape (3, c, 2), got (3, 4)")
