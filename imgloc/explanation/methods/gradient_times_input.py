"""Gradient times input (Shrikumar et al., 2016, arXiv:1605.01713)."""

from __future__ import annotations

import jax

from imgloc.explanation import question as questions
from imgloc.explanation.method import Method
from imgloc.explanation.question import Question


def gradient_times_input(question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array) -> jax.Array:
    """The gradient times the pixel, summed over channels; of a model that is linear, what each pixel adds to the score."""
    return (questions.gradient(question.score, images_bxhxwxc) * images_bxhxwxc).sum(axis=-1)


METHOD = Method(
    "what each pixel adds to the score, as if the model were linear; black pixels add nothing",
    gradient_times_input,
    cost="one forward and one backward pass",
    signed=True,
)
