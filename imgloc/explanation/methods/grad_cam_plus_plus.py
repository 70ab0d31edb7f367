"""Grad-CAM++ (Chattopadhay et al., 2018, arXiv:1710.11063)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.explanation.method import Method
from imgloc.explanation.question import Question

EPSILON = 1e-6  # of the denominator


def grad_cam_plus_plus(question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array) -> jax.Array:
    """Channels weighted by a weighted sum of their positive gradients, positive part (equations 15 and 19).

    The score of the paper is the exponential of a logit, whose higher derivatives are powers of the gradient of the logit times a
    common factor. As the common programs do, this drops that factor, which scales a whole map where the network is piecewise linear.
    """
    activation, gradient = question.activation_and_gradient(images_bxhxwxc)
    second, third = jnp.square(gradient), gradient**3
    alpha = second / (2 * second + activation.sum(axis=(1, 2), keepdims=True) * third + EPSILON)
    alpha = jnp.where(gradient != 0, alpha, 0.0)
    weights = (jax.nn.relu(gradient) * alpha).sum(axis=(1, 2), keepdims=True)
    return jax.nn.relu((weights * activation).sum(axis=-1))


METHOD = Method(
    "as Grad-CAM, with weights that do not shrink where a class has several small objects",
    grad_cam_plus_plus,
    cost="one forward and one backward pass",
    at_layer=True,
)
