"""DeepLIFT with the rescale rule (Shrikumar et al., 2017, arXiv:1704.02685).

Of DeepLIFT and attention rollout the room has the former: no model of the package has attention layers, which the latter reads.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.explanation.jaxprs import evaluate
from imgloc.explanation.method import Method
from imgloc.explanation.question import Question
from imgloc.explanation.question import gradient as gradient_of
from imgloc.explanation.rules import products, rescale


def deep_lift(question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array, *, baseline: float = 0.0) -> jax.Array:
    """What each pixel adds to the score in comparison with a uniform image, summed over channels (section 3.5.1).

    Activation functions, found in the trace, have the multipliers of the rescale rule, and products, such as those of gates and of
    normalization layers, multipliers that are the mean of the other factor. Other operations that are not linear have their gradient:
    max pooling, quotients and recurrent layers. Without these, the sum of a map is the difference of the two scores.
    """
    doubled = Question(question.forward, question.variables, question.objective, jnp.tile(question.index_bxm, (2, 1)))
    both = jnp.concatenate([images_bxhxwxc, jnp.full_like(images_bxhxwxc, baseline)])
    traced = jax.make_jaxpr(doubled.score)(both)
    rule = rescale(products(traced.jaxpr, traced.jaxpr.invars), len(both))

    def score(images: jax.Array) -> jax.Array:
        score_b: jax.Array = evaluate(traced.jaxpr, traced.consts, [images], rule=rule)[0]
        return score_b

    multipliers = gradient_of(score, both)[: len(images_bxhxwxc)]
    return (multipliers * (images_bxhxwxc - baseline)).sum(axis=-1)


METHOD = Method(
    "what each pixel adds to the score in comparison with a black image, in one pass",
    deep_lift,
    cost="one forward and one backward pass for the image and the black image",
    signed=True,
)
