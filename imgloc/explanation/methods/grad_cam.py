"""Grad-CAM (Selvaraju et al., 2017, arXiv:1610.02391)."""

from __future__ import annotations

import jax

from imgloc.explanation.method import Method
from imgloc.explanation.question import Question


def grad_cam(question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array) -> jax.Array:
    """Channels of the layer weighted by the mean of their gradient, positive part (equations 1 and 2)."""
    activation, gradient = question.activation_and_gradient(images_bxhxwxc)
    return jax.nn.relu((gradient.mean(axis=(1, 2), keepdims=True) * activation).sum(axis=-1))


METHOD = Method(
    "the channels of a layer, weighted by how much the score grows with each on average over the image",
    grad_cam,
    cost="one forward and one backward pass",
    at_layer=True,
)
