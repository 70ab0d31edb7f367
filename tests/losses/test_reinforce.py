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

STD = 0.2


def batch_of(label_b: Any) -> Batch:
    unused: Any = None
    return Batch(unused, unused, unused, unused, label_b, unused, unused)


def outputs_of(logits: Any, baselines: Any, log_probability: Any) -> Any:
    return {"logits": logits, "features": {"baselines": baselines, "log_probability": log_probability}}


def test_the_loss_equals_values_computed_by_hand() -> None:
    logits = jnp.array([[2.0, 1.0], [0.0, 3.0]])  # the first prediction is correct, the second is not
    baselines, log_probability = jnp.array([[0.25, 0.5], [0.5, 0.0]]), jnp.array([[-1.0, -2.0], [-3.0, -4.0]])
    loss_b = reinforce.loss(outputs_of(logits, baselines, log_probability), batch_of(jnp.array([0, 0])), value_weight=0.5)
    first = 0.5 * (0.75**2 + 0.5**2) + 0.75 * 1.0 + 0.5 * 2.0
    second = 0.5 * (0.5**2 + 0.0) + (-0.5) * 3.0 + 0.0
    np.testing.assert_allclose(loss_b, [first, second], rtol=1e-6)


def test_its_gradient_is_that_of_the_expected_reward() -> None:
    """The reward is 1 where x is above 1/2: its expectation is the tail of a normal distribution, whose derivative is known."""
    mean, count = jnp.array([0.4, 0.3]), 200_000
    sample = mean + STD * jax.random.normal(jax.random.key(0), (count, 2))
    correct = sample[:, 0] > 0.5
    logits = jnp.stack([correct, ~correct], axis=-1).astype(jnp.float32)

    @jax.jit
    def gradient(mean: Any, baseline: Any) -> Any:
        def loss(mean: Any) -> Any:
            log_probability = normal_log_prob(sample, jnp.broadcast_to(mean, sample.shape), STD)[:, None]
            outputs = outputs_of(logits, jnp.full((count, 1), baseline), log_probability)
            return reinforce.loss(outputs, batch_of(jnp.zeros(count, jnp.int32)), value_weight=0.0).mean()

        return jax.grad(loss)(mean)

    expected = np.exp(-0.5 * (0.1 / STD) ** 2) / (STD * np.sqrt(2 * np.pi))  # d P(x > 1/2) / d mean_x
    for baseline in (0.0, 0.3):  # changes the variance, not the mean
        assert gradient(mean, baseline) == pytest.approx([-expected, 0.0], abs=0.03)


def test_with_gae_lambda_below_1_later_baselines_replace_later_rewards() -> None:
    baselines = jnp.array([[0.25, 0.5, 0.125]])
    outputs = outputs_of(jnp.array([[2.0, 1.0]]), baselines, jnp.zeros((1, 3)))
    for gae_lambda, expected in ((0.0, [0.25, -0.375, 0.875]), (0.5, [0.25 + 0.5 * 0.0625, 0.0625, 0.875]), (1.0, [0.75, 0.5, 0.875])):
        gradient = jax.grad(lambda o, decay=gae_lambda: reinforce.loss(o, batch_of(jnp.array([0])), gae_lambda=decay).sum())(outputs)
        np.testing.assert_allclose(-gradient["features"]["log_probability"][0], expected, rtol=1e-6)
        np.testing.assert_allclose(-gradient["features"]["baselines"][0] / 2, 1 - baselines[0], rtol=1e-6)
    with pytest.raises(UserError, match="gae_lambda must be from 0 to 1"):
        reinforce.loss(outputs, batch_of(jnp.array([0])), gae_lambda=1.5)
    with pytest.raises(UserError, match="value_weight must be at least 0"):
        reinforce.loss(outputs, batch_of(jnp.array([0])), value_weight=-1.0)


def test_it_trains_only_places_and_baselines() -> None:
    outputs = outputs_of(jnp.eye(2), jnp.full((2, 3), 0.4), jnp.full((2, 3), -1.0))
    gradient = jax.grad(lambda o: reinforce.loss(o, batch_of(jnp.array([0, 0]))).sum())(outputs)
    assert not gradient["logits"].any()
    np.testing.assert_allclose(gradient["features"]["log_probability"], -np.array([[0.6] * 3, [-0.4] * 3]), rtol=1e-5)
    np.testing.assert_allclose(gradient["features"]["baselines"], -2 * np.array([[0.6] * 3, [-0.4] * 3]), rtol=1e-5)


def test_the_reward_may_be_the_probability_of_the_true_class() -> None:
    logits = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, -1.0]], np.float32)
    outputs = outputs_of(logits, jnp.zeros((2, 1)), -jnp.ones((2, 1)))
    gradient = jax.grad(lambda o: reinforce.loss(o, batch_of(jnp.array([1, 1])), reward="probability").sum())(outputs)
    expected = scipy.special.softmax(logits.astype(np.float64), axis=-1)[:, 1]
    np.testing.assert_allclose(-gradient["features"]["log_probability"][:, 0], expected, rtol=1e-5)
    assert not np.asarray(gradient["logits"]).any()
    with pytest.raises(UserError, match="reward"):
        reinforce.loss(outputs, batch_of(jnp.array([1, 1])), reward="praise")
