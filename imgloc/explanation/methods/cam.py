"""CAM (Zhou et al., 2016, arXiv:1512.04150): for models that end with global average pooling and a linear layer."""

from __future__ import annotations

import jax

from imgloc.errors import UserError
from imgloc.explanation import question as questions
from imgloc.explanation.linear import is_linear_after_average_pooling
from imgloc.explanation.method import Method
from imgloc.explanation.question import Question


def cam(question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array) -> jax.Array:
    """Channels of the last maps weighted by the linear layer after global average pooling (equation 2); negative values are kept.

    The weights are the gradient of the score, which is constant there, times the number of locations. Raises UserError where the score
    is not a linear function of the means of the layer's channels.
    """
    activation, score_of = question.split(images_bxhxwxc)
    if not is_linear_after_average_pooling(score_of, activation):
        problem = "CAM requires a model with a linear layer after global average pooling of the layer"
        raise UserError(f"{problem}; possible: another --layer, or a method for any model, such as hires_cam or grad_cam")
    gradient = questions.gradient(score_of, activation)
    locations = activation.shape[1] * activation.shape[2]
    return (gradient[:, :1, :1] * locations * activation).sum(axis=-1)


METHOD = Method(
    "the channels of the last maps, weighted by the linear layer that predicts the class from their means",
    cam,
    cost="one forward pass",
    at_layer=True,
)
