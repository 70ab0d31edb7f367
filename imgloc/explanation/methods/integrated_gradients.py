"""Integrated gradients (Sundararajan et al., 2017, arXiv:1703.01365)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.explanation import question as questions
from imgloc.explanation.averages import sum_over
from imgloc.explanation.method import Method
from imgloc.explanation.question import Question


def integrated_gradients(
    question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array, *, steps: int = 32, baseline: float = 0.0
) -> jax.Array:
    """The gradient, integrated from a uniform image to the image, times their difference, summed over channels (equation 1).

    The sum of a map is the difference of the two scores, up to the error of the integral, which is computed by Gauss-Legendre
    quadrature. `baseline` is the value of the uniform image, black by default.
    """
    points, weights = np.polynomial.legendre.leggauss(steps)
    change = images_bxhxwxc - baseline

    def weighted(item: tuple[jax.Array, jax.Array]) -> jax.Array:
        place, weight = item
        return weight * questions.gradient(question.score, baseline + place * change)

    items = jnp.asarray((points + 1) / 2, images_bxhxwxc.dtype), jnp.asarray(weights / 2, images_bxhxwxc.dtype)
    return (sum_over(weighted, items) * change).sum(axis=-1)


METHOD = Method(
    "what each pixel adds to the score on the way from a black image to this one; the parts add up to the change of the score",
    integrated_gradients,
    cost="one forward and one backward pass for each of 32 steps",
    signed=True,
)
