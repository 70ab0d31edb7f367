"""XGrad-CAM (Fu et al., 2020, arXiv:2008.02312)."""

from __future__ import annotations

import jax

from imgloc.explanation.method import Method
from imgloc.explanation.question import Question

EPSILON = 1e-7  # of the sum of a channel


def xgrad_cam(question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array) -> jax.Array:
    """Channels weighted by the mean of their gradient weighted by the activation, positive part (equation 8)."""
    activation, gradient = question.activation_and_gradient(images_bxhxwxc)
    weights = (gradient * activation).sum(axis=(1, 2), keepdims=True) / (activation.sum(axis=(1, 2), keepdims=True) + EPSILON)
    return jax.nn.relu((weights * activation).sum(axis=-1))


METHOD = Method(
    "as Grad-CAM, with the gradient of each channel averaged where the channel is active",
    xgrad_cam,
    cost="one forward and one backward pass",
    at_layer=True,
)
