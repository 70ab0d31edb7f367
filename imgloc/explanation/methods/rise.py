"""RISE (Petsiuk et al., 2018, arXiv:1806.07421)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from imgloc.explanation.averages import sum_over
from imgloc.explanation.keys import draw_per_image
from imgloc.explanation.method import Method
from imgloc.explanation.question import Question


def rise(
    question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array, *, masks: int = 500, grid: int = 7, probability: float = 0.5
) -> jax.Array:
    """The mean of random masks weighted by the score of the masked image, over the mean of a mask (equation 6).

    A mask is a grid of zeros and ones, each one with `probability`, enlarged bilinearly and shifted by part of a cell; the paper uses
    4000 to 8000 of them. Each image has its own.
    """
    height, width = images_bxhxwxc.shape[1:3]

    def masked(number: jax.Array) -> jax.Array:
        mask_bxhxw = draw_per_image(lambda key: random_mask(key, height, width, grid, probability), keys_b, number)
        return question.score(images_bxhxwxc * mask_bxhxw[..., None])[:, None, None] * mask_bxhxw

    return sum_over(masked, jnp.arange(masks)) / (masks * probability)


def random_mask(key: jax.Array, height: int, width: int, grid: int, probability: float) -> jax.Array:
    """A mask (height, width) in [0, 1] (section 3.2)."""
    grid_key, shift_key = jax.random.split(key)
    cell = math.ceil(height / grid), math.ceil(width / grid)
    coarse = jax.random.bernoulli(grid_key, probability, (grid, grid)).astype(jnp.float32)
    fine = jax.image.resize(coarse, ((grid + 1) * cell[0], (grid + 1) * cell[1]), "linear")
    shift = jax.random.randint(shift_key, (2,), 0, jnp.asarray(cell))
    mask: jax.Array = jax.lax.dynamic_slice(fine, shift, (height, width))
    return mask


METHOD = Method(
    "the parts of the image whose presence goes with a high score, by random masks",
    rise,
    cost="one forward pass for each of 500 masks",
    bounded=True,
)
