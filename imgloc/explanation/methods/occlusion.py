"""Occlusion (Zeiler and Fergus, 2013, arXiv:1311.2901)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import UserError
from imgloc.explanation.averages import sum_over
from imgloc.explanation.method import Method
from imgloc.explanation.question import Question


def occlusion(
    question: Question, images_bxhxwxc: jax.Array, keys_b: jax.Array, *, patch: float = 0.2, stride: float = 0.1, fill: float = 0.5
) -> jax.Array:
    """How much the score falls when a square hides a pixel, averaged over the squares that hide it.

    `patch` and `stride` are the side of the square and the distance of neighboring squares as shares of the image's shorter side;
    `fill` is the value of hidden pixels.
    """
    if not 0 < stride <= patch <= 1:  # the squares would leave pixels out
        raise UserError(f"occlusion needs 0 < stride <= patch <= 1, got stride {stride} and patch {patch}")
    height, width = images_bxhxwxc.shape[1:3]
    side, step = (max(1, round(share * min(height, width))) for share in (patch, stride))
    corners = [(y, x) for y in _starts(height, side, step) for x in _starts(width, side, step)]
    y_h, x_w = jnp.arange(height)[:, None], jnp.arange(width)[None]
    score_b = question.score(images_bxhxwxc)

    def hidden(corner: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, x = corner
        hidden_hxw = (y_h >= y) & (y_h < y + side) & (x_w >= x) & (x_w < x + side)
        fall_b = score_b - question.score(jnp.where(hidden_hxw[..., None], fill, images_bxhxwxc))
        return fall_b[:, None, None] * hidden_hxw, hidden_hxw.astype(jnp.float32)

    falls_bxhxw, times_hxw = sum_over(hidden, jnp.asarray(np.array(corners, np.int32)))
    return falls_bxhxw / times_hxw


def _starts(size: int, side: int, step: int) -> range:
    """The first pixels of squares that together hide every pixel; the last may leave the image."""
    return range(0, max(1, size - side + step), step)


METHOD = Method(
    "how much the score falls when a grey square hides a part of the image",
    occlusion,
    cost="one forward pass for each of about 100 squares",
    bounded=True,
)
