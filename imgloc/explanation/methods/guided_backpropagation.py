"""Guided backpropagation (Springenberg et al., 2014, arXiv:1412.6806)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.errors import UserError
from imgloc.explanation import question as questions
from imgloc.explanation.jaxprs import evaluate
from imgloc.explanation.method import Method
from imgloc.explanation.question import Question
from imgloc.explanation.rules import guided, relus


def guided_backpropagation(question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array) -> jax.Array:
    """The magnitude of the gradient whose negative part is dropped at every ReLU, the largest of the channels (section 3.4).

    ReLU is found in the trace of any model: it is a maximum with 0, except that of a variance in a normalization. One inside of a loop of
    JAX (`scan`), as in a recurrent layer, keeps its usual gradient. Raises UserError where the model has no other ReLU.
    """
    traced = jax.make_jaxpr(question.score)(images_bxhxwxc)
    found = relus(traced.jaxpr)
    if not found:
        raise UserError("guided_backpropagation requires a model with ReLU outside of recurrent layers; possible: gradient, smooth_grad")

    def score(images: jax.Array) -> jax.Array:
        score_b: jax.Array = evaluate(traced.jaxpr, traced.consts, [images], rule=guided(found))[0]
        return score_b

    return jnp.abs(questions.gradient(score, images_bxhxwxc)).max(axis=-1)


METHOD = Method(
    "the edges and textures that excite the network; sharp, but it depends little on the target",
    guided_backpropagation,
    cost="one forward and one backward pass",
)
