"""REINFORCE against its formula, and against the derivative of the expected reward."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from imgloc.errors import UserError
from imgloc.losses import reinforce
from imgloc.models.policies.learned import normal_log_prob
from imgloc.types import Batch

DEVIATION = 0.2


def batch_of(label_b: Any) -> Batch:
    nothing: Any = None
    return Batch(nothing, nothing, nothing, nothing, label_b, nothing, nothing)


def outputs_of(logits: Any, baselines: Any, log_probability: Any) -> Any:
    return {"logits": logits, "features": {"baselines": baselines, "log_probability": log_probability}}


def test_by_hand() -> None:
    logits = jnp.array([[2.0, 1.0], [0.0, 3.0]])  # the first is right, the second is not
    baselines, log_probability = jnp.array([[0.25, 0.5], [0.5, 0.0]]), jnp.array([[-1.0, -2.0], [-3.0, -4.0]])
    found = reinforce.loss(outputs_of(logits, baselines, log_probability), batch_of(jnp.array([0, 0])), baseline=0.5)
    first = 0.5 * (0.75**2 + 0.5**2) + 0.75 * 1.0 + 0.5 * 2.0
    second = 0.5 * (0.5**2 + 0.0) + (-0.5) * 3.0 + 0.0
    np.testing.assert_allclose(found, [first, second], rtol=1e-6)


def test_its_gradient_is_that_of_the_expected_reward() -> None:
    """A place pays where x is above a half: the expected reward is a normal distribution's tail, whose derivative is known."""
    mean, count = jnp.array([0.4, 0.3]), 200_000
    drawn = mean + DEVIATION * jax.random.normal(jax.random.key(0), (count, 2))
    right = drawn[:, 0] > 0.5
    logits = jnp.stack([right, ~right], axis=-1).astype(jnp.float32)

    @jax.jit
    def gradient(mean: Any, baseline: Any) -> Any:
        def loss(mean: Any) -> Any:
            said = normal_log_prob(drawn, jnp.broadcast_to(mean, drawn.shape), DEVIATION)[:, None]
            outputs = outputs_of(logits, jnp.full((count, 1), baseline), said)
            return reinforce.loss(outputs, batch_of(jnp.zeros(count, jnp.int32)), baseline=0.0).mean()

        return jax.grad(loss)(mean)

    expected = np.exp(-0.5 * (0.1 / DEVIATION) ** 2) / (DEVIATION * np.sqrt(2 * np.pi))  # d P(x > 1/2) / d mean_x
    for baseline in (0.0, 0.3):  # changes the scatter, not the mean
        assert gradient(mean, baseline) == pytest.approx([-expected, 0.0], abs=0.03)


def test_with_a_trace_below_1_later_baselines_stand_for_what_comes() -> None:
    baselines = jnp.array([[0.25, 0.5, 0.125]])
    outputs = outputs_of(jnp.array([[2.0, 1.0]]), baselines, jnp.zeros((1, 3)))
    for trace, wanted in ((0.0, [0.25, -0.375, 0.875]), (0.5, [0.25 + 0.5 * 0.0625, 0.0625, 0.875]), (1.0, [0.75, 0.5, 0.875])):
        gradient = jax.grad(lambda o, trace=trace: reinforce.loss(o, batch_of(jnp.array([0])), trace=trace).sum())(outputs)
        np.testing.assert_allclose(-gradient["features"]["log_probability"][0], wanted, rtol=1e-6)
        np.testing.assert_allclose(-gradient["features"]["baselines"][0] / 2, 1 - baselines[0], rtol=1e-6)
    with pytest.raises(UserError, match="trace is"):
        reinforce.loss(outputs, batch_of(jnp.array([0])), trace=1.5)
    with pytest.raises(UserError, match="baseline is"):
        reinforce.loss(outputs, batch_of(jnp.array([0])), baseline=-1.0)


def test_only_places_and_baselines_learn_by_it() -> None:
    outputs = outputs_of(jnp.eye(2), jnp.full((2, 3), 0.4), jnp.full((2, 3), -1.0))
    gradient = jax.grad(lambda o: reinforce.loss(o, batch_of(jnp.array([0, 0]))).sum())(outputs)
    assert not gradient["logits"].any()
    np.testing.assert_allclose(gradient["features"]["log_probability"], -np.array([[0.6] * 3, [-0.4] * 3]), rtol=1e-5)
    np.testing.assert_allclose(gradient["features"]["baselines"], -2 * np.array([[0.6] * 3, [-0.4] * 3]), rtol=1e-5)


def test_the_reward_may_be_the_probability_of_the_right_class() -> None:
    logits = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, -1.0]], np.float32)
    outputs = outputs_of(logits, jnp.zeros((2, 1)), -jnp.ones((2, 1)))
    gradient = jax.grad(lambda o: reinforce.loss(o, batch_of(jnp.array([1, 1])), reward="probability").sum())(outputs)
    wanted = scipy.special.softmax(logits.astype(np.float64), axis=-1)[:, 1]
    np.testing.assert_allclose(-gradient["features"]["log_probability"][:, 0], wanted, rtol=1e-5)
    assert not np.asarray(gradient["logits"]).any()
    with pytest.raises(UserError, match="reward"):
        reinforce.loss(outputs, batch_of(jnp.array([1, 1])), reward="praise")
