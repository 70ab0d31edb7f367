"""HiResCAM (Draelos and Carin, 2020, arXiv:2011.08891)."""

from __future__ import annotations

import jax

from imgloc.explanation.method import Method
from imgloc.explanation.question import Question


def hires_cam(question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array) -> jax.Array:
    """The activation times the gradient at each location, summed over channels, positive part.

    The paper keeps negative values in its definition and hides them in its figures.
    """
    activation, gradient = question.activation_and_gradient(images_bxhxwxc)
    return jax.nn.relu((gradient * activation).sum(axis=-1))


METHOD = Method(
    "the activation of a layer times how much the score grows with it, location by location",
    hires_cam,
    cost="one forward and one backward pass",
    at_layer=True,
)
