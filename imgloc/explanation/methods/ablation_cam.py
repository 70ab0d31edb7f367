"""Ablation-CAM (Desai and Ramaswamy, 2020, IEEE Winter Conference on Applications of Computer Vision)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.explanation.method import Method
from imgloc.explanation.question import Question


def ablation_cam(question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array) -> jax.Array:
    """Channels weighted by the share of the score that is lost without each of them, positive part (equations 3 and 5).

    A channel is removed by zeros. Only what lies above the layer is computed for each. The weights are 0 where the score is.
    """
    activation, score_of = question.split(images_bxhxwxc)
    score_b = score_of(activation)
    number_c = jnp.arange(activation.shape[-1])
    scores_cxb = jax.lax.map(lambda channel: score_of(jnp.where(number_c == channel, 0.0, activation)), number_c)
    weights_cxb = jnp.where(score_b == 0, 0.0, (score_b - scores_cxb) / jnp.where(score_b == 0, 1.0, score_b))
    return jax.nn.relu(jnp.einsum("bhwc,cb->bhw", activation, weights_cxb))


METHOD = Method(
    "the channels of a layer, weighted by the share of the score that is lost without each of them",
    ablation_cam,
    cost="one pass above the layer for each of its channels",
    at_layer=True,
)
