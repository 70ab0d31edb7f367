"""The loss of a sequence of labels, from left to right, against SciPy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from ml_collections import ConfigDict

from imgloc.losses import reinforce, sequence
from imgloc.training.objective import check_losses, make_losses
from imgloc.types import Batch
from tests.refusals import assert_refused

LOGITS = np.random.default_rng(0).standard_normal((3, 2, 4)).astype(np.float32)
FEATURES = {"baselines": jnp.zeros((3, 4)), "log_probability": -jnp.ones((3, 4))}


def batch_of(left_bxn: list[list[float]], labels_bxn: list[list[int]], mask_bxn: list[list[bool]]) -> Batch:
    left = np.array(left_bxn, np.float32)
    boxes = np.stack([left, left * 0, left + 0.1, left + 0.1], axis=-1)
    unused: Any = None
    return Batch(unused, boxes, np.array(labels_bxn, np.int32), np.array(mask_bxn), np.zeros(3, np.int32), unused, unused)


BATCH = batch_of(  # objects from left to right, from right to left, and a single object after padding
    [[0.1, 0.6, 0.0], [0.8, 0.2, 0.0], [0.0, 0.5, 0.0]], [[1, 2, 0], [3, 1, 0], [0, 2, 0]],
    [[True, True, False], [True, True, False], [False, True, False]],
)  # fmt: skip


def test_labels_are_compared_with_the_objects_from_left_to_right() -> None:
    negative = -scipy.special.log_softmax(LOGITS.astype(np.float64), axis=-1)
    expected = [(negative[0, 0, 1] + negative[0, 1, 2]) / 2, (negative[1, 0, 1] + negative[1, 1, 3]) / 2, negative[2, 0, 2]]
    np.testing.assert_allclose(sequence.loss({"sequence": LOGITS}, BATCH), expected, rtol=1e-5)


def test_labels_beyond_the_objects_have_no_gradient() -> None:
    gradient = np.asarray(jax.grad(lambda logits: sequence.loss({"sequence": logits}, BATCH).sum())(jnp.asarray(LOGITS)))
    assert np.abs(gradient[:2]).min() > 0
    assert not gradient[2, 1].any()
    longer = np.zeros((3, 3, 4), np.float32)
    np.testing.assert_allclose(sequence.loss({"sequence": longer}, BATCH), np.log(4), rtol=1e-5)


def test_a_sequence_longer_than_the_number_of_kept_objects_is_refused() -> None:
    """Its last labels would neither be trained nor scored."""
    longer = np.zeros((3, 5, 4), np.float32)
    assert_refused(lambda: sequence.loss({"sequence": longer}, BATCH), "data.max_objects must be at least 5")


def test_a_place_is_rewarded_for_its_own_label_and_for_later_ones() -> None:
    """Two glimpses a label; correct are the first label, the second label, and the label of a single object."""
    logits = np.zeros((3, 2, 4), np.float32)
    logits[0, 0, 1] = logits[1, 1, 3] = logits[1, 0, 0] = logits[2, 0, 2] = logits[2, 1, 0] = 9
    gradient = jax.grad(lambda p: reinforce.loss({"sequence": logits, "features": {**FEATURES, "log_probability": p}}, BATCH).sum())(
        FEATURES["log_probability"]
    )
    np.testing.assert_allclose(-gradient, [[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]])
    first_is_random = {"baselines": jnp.zeros((3, 3)), "log_probability": -jnp.ones((3, 3))}
    gradient = jax.grad(lambda b: reinforce.loss({"sequence": logits, "features": {**first_is_random, "baselines": b}}, BATCH).sum())(
        first_is_random["baselines"]
    )
    np.testing.assert_allclose(-gradient / 2, [[1, 0, 0], [1, 1, 1], [1, 0, 0]])


def test_an_image_without_an_object_has_no_reward() -> None:
    batch = BATCH._replace(object_mask_bxn=np.array([[True, True, False], [False] * 3, [True, False, False]]))

    def loss(features: Any) -> Any:
        return reinforce.loss({"sequence": LOGITS, "features": features}, batch)

    features = {"baselines": jnp.full((3, 4), 0.4), "log_probability": -jnp.ones((3, 4))}
    assert np.asarray(loss(features)).astype(bool).tolist() == [True, False, True]
    gradient = jax.grad(lambda features: loss(features).sum())(features)
    assert not any(np.asarray(part[1]).any() for part in gradient.values())


def test_a_model_without_a_sequence_is_refused() -> None:
    losses = make_losses(ConfigDict({"sequence": {"name": "sequence", "weight": 1.0}}))
    check_losses(losses, {"sequence": LOGITS}, "some_model", 3, 4)
    assert_refused(lambda: check_losses(losses, {"logits": LOGITS[:, 0]}, "some_model", 3, 4), "needs the output 'sequence'")
