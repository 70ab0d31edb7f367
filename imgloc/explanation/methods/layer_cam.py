"""LayerCAM (Jiang et al., 2021, IEEE Transactions on Image Processing 30:5875)."""

from __future__ import annotations

import jax

from imgloc.explanation.method import Method
from imgloc.explanation.question import Question


def layer_cam(question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array) -> jax.Array:
    """The activation times the positive part of the gradient at each location, summed over channels, positive part (equations 6 and 7)."""
    activation, gradient = question.activation_and_gradient(images_bxhxwxc)
    return jax.nn.relu((jax.nn.relu(gradient) * activation).sum(axis=-1))


METHOD = Method(
    "the activation of a layer where the score grows with it; finer maps than Grad-CAM at early layers",
    layer_cam,
    cost="one forward and one backward pass",
    at_layer=True,
)
