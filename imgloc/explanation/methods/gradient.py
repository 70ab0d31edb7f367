"""The gradient of the score with respect to the pixels (Simonyan et al., 2013, arXiv:1312.6034)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.explanation import question as questions
from imgloc.explanation.method import Method
from imgloc.explanation.question import Question


def gradient(question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array) -> jax.Array:
    """The magnitude of the gradient, the largest of the channels (section 3.1)."""
    return jnp.abs(questions.gradient(question.score, images_bxhxwxc)).max(axis=-1)


METHOD = Method(
    "the pixels whose small changes change the score most",
    gradient,
    cost="one forward and one backward pass",
)
