"""The labels of a sequence, from left to right, against SciPy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from imgloc.losses import reinforce, sequence
from imgloc.types import Batch
from tests.refusals import assert_refused

LOGITS = np.random.default_rng(0).standard_normal((3, 2, 4)).astype(np.float32)
SEEN = {"features": {"baselines": jnp.zeros((3, 4)), "log_probability": -jnp.ones((3, 4))}}


def batch_of(left_bxn: list[list[float]], labels_bxn: list[list[int]], mask_bxn: list[list[bool]]) -> Batch:
    left = np.array(left_bxn, np.float32)
    boxes = np.stack([left, left * 0, left + 0.1, left + 0.1], axis=-1)
    nothing: Any = None
    return Batch(nothing, boxes, np.array(labels_bxn, np.int32), np.array(mask_bxn), np.zeros(3, np.int32), nothing, nothing)


BATCH = batch_of(  # one that stands as it is read, one the other way round, one with a single object behind a place without one
    [[0.1, 0.6, 0.0], [0.8, 0.2, 0.0], [0.0, 0.5, 0.0]], [[1, 2, 0], [3, 1, 0], [0, 2, 0]],
    [[True, True, False], [True, True, False], [False, True, False]],
)  # fmt: skip


def test_each_place_is_held_to_its_object_from_left_to_right() -> None:
    negative = -scipy.special.log_softmax(LOGITS.astype(np.float64), axis=-1)
    wanted = [(negative[0, 0, 1] + negative[0, 1, 2]) / 2, (negative[1, 0, 1] + negative[1, 1, 3]) / 2, negative[2, 0, 2]]
    np.testing.assert_allclose(sequence.loss({"sequence": LOGITS}, BATCH), wanted, rtol=1e-5)


def test_places_beyond_the_objects_learn_nothing() -> None:
    gradient = np.asarray(jax.grad(lambda logits: sequence.loss({"sequence": logits}, BATCH).sum())(jnp.asarray(LOGITS)))
    assert np.abs(gradient[:2]).min() > 0
    assert not gradient[2, 1].any()
    many = np.zeros((3, 3, 4), np.float32)
    np.testing.assert_allclose(sequence.loss({"sequence": many}, BATCH), np.log(4), rtol=1e-5)


def test_more_places_than_objects_are_kept_is_refused() -> None:
    """Else the last places learned nothing, and were scored on nothing."""
    many = np.zeros((3, 5, 4), np.float32)
    assert_refused(lambda: sequence.loss({"sequence": many}, BATCH), "data.max_objects=5")


def test_a_place_is_rewarded_for_its_own_label_and_for_later_ones() -> None:
    """Two glimpses a label: the first label right, then the second, then of one object the first place."""
    said = np.zeros((3, 2, 4), np.float32)
    said[0, 0, 1] = said[1, 1, 3] = said[1, 0, 0] = said[2, 0, 2] = said[2, 1, 0] = 9
    found = jax.grad(lambda p: reinforce.loss({"sequence": said, "features": {**SEEN["features"], "log_probability": p}}, BATCH).sum())(
        SEEN["features"]["log_probability"]
    )
    np.testing.assert_allclose(-found, [[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]])
    first_is_drawn = {"baselines": jnp.zeros((3, 3)), "log_probability": -jnp.ones((3, 3))}
    found = jax.grad(lambda b: reinforce.loss({"sequence": said, "features": {**first_is_drawn, "baselines": b}}, BATCH).sum())(
        first_is_drawn["baselines"]
    )
    np.testing.assert_allclose(-found / 2, [[1, 0, 0], [1, 1, 1], [1, 0, 0]])


def test_an_image_without_an_object_has_no_reward_to_learn_by() -> None:
    untold = BATCH._replace(object_mask_bxn=np.array([[True, True, False], [False] * 3, [True, False, False]]))

    def loss(features: Any) -> Any:
        return reinforce.loss({"sequence": LOGITS, "features": features}, untold)

    features = {"baselines": jnp.full((3, 4), 0.4), "log_probability": -jnp.ones((3, 4))}
    assert np.asarray(loss(features)).astype(bool).tolist() == [True, False, True]
    gradient = jax.grad(lambda features: loss(features).sum())(features)
    assert not any(np.asarray(part[1]).any() for part in gradient.values())


def test_a_model_without_a_sequence_is_refused() -> None:
    assert_refused(lambda: sequence.loss({"logits": LOGITS[:, 0]}, BATCH), "needs the output 'sequence'")
