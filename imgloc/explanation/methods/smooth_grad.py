"""SmoothGrad (Smilkov et al., 2017, arXiv:1706.03825)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.explanation import question as questions
from imgloc.explanation.averages import sum_over
from imgloc.explanation.keys import draw_per_image
from imgloc.explanation.method import Method
from imgloc.explanation.question import Question


def smooth_grad(question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array, *, samples: int = 16, noise: float = 0.15) -> jax.Array:
    """The mean of the gradients of noisy images, then its magnitude, the largest of the channels.

    `noise` is the standard deviation of the noise as a share of the range of the image's values.
    """
    range_b = images_bxhxwxc.max(axis=(1, 2, 3), keepdims=True) - images_bxhxwxc.min(axis=(1, 2, 3), keepdims=True)

    def of_noisy(number: jax.Array) -> jax.Array:
        drawn = draw_per_image(lambda key: jax.random.normal(key, images_bxhxwxc.shape[1:], images_bxhxwxc.dtype), keys_b, number)
        return questions.gradient(question.score, images_bxhxwxc + noise * range_b * drawn)

    return jnp.abs(sum_over(of_noisy, jnp.arange(samples)) / samples).max(axis=-1)


METHOD = Method(
    "as gradient, averaged over noisy copies of the image, which removes much of its grain",
    smooth_grad,
    cost="one forward and one backward pass for each of 16 noisy images",
)
