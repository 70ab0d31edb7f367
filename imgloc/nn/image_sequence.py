"""An image as a sequence: its rows, its columns, its pixels, its pixels shuffled."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import UserError, chosen
from imgloc.types import IntArray


def rows(images_bxhxwxc: jax.Array) -> jax.Array:
    """(b, h, w c): from the top row to the bottom one."""
    b, h, w, c = images_bxhxwxc.shape
    return images_bxhxwxc.reshape(b, h, w * c)


def columns(images_bxhxwxc: jax.Array) -> jax.Array:
    """(b, w, h c): from the left column to the right one."""
    return rows(jnp.swapaxes(images_bxhxwxc, 1, 2))


def pixels(images_bxhxwxc: jax.Array) -> jax.Array:
    """(b, h w, c): row after row (Le, Jaitly and Hinton, 2015, arXiv:1504.00941)."""
    b, h, w, c = images_bxhxwxc.shape
    return images_bxhxwxc.reshape(b, h * w, c)


def permuted_pixels(images_bxhxwxc: jax.Array, seed: int = 0) -> jax.Array:
    """(b, h w, c): `pixels` in one random order for all images, drawn by NumPy's generator from `seed`."""
    return pixels(images_bxhxwxc)[:, _shuffled(images_bxhxwxc.shape[1] * images_bxhxwxc.shape[2], seed)]


def _shuffled(count: int, seed: int) -> IntArray:
    return np.random.default_rng(seed).permutation(count)


ORDERS = {"rows": rows, "columns": columns, "pixels": pixels, "permuted_pixels": permuted_pixels}


def as_sequence(images_bxhxwxc: jax.Array, order: str, permutation: int = 0) -> jax.Array:
    """The images (b, h, w, c) as (b, t, f), read in one of ORDERS, the shuffled one drawn from `permutation`.

    Raises UserError for another, and for a permutation below 0, or of what is not shuffled.
    """
    read = chosen("order of reading (model.read)", order, ORDERS)
    if permutation < 0:
        raise UserError(f"permutation (model.permutation) is {permutation}; possible: at least 0")
    if permutation and order != "permuted_pixels":
        raise UserError(f"permutation (model.permutation) is {permutation}, but {order} are not shuffled; possible: 0, or permuted_pixels")
    return permuted_pixels(images_bxhxwxc, permutation) if order == "permuted_pixels" else read(images_bxhxwxc)


def read_at(order: str, height: int, width: int, permutation: int = 0) -> IntArray:
    """The step of `as_sequence` that reads each place of an image: (h, 1) for rows, (1, w) for columns, (h, w) for pixels."""
    count = height * width
    places = {
        "rows": np.arange(height)[:, None],
        "columns": np.arange(width)[None],
        "pixels": np.arange(count).reshape(height, width),
        "permuted_pixels": np.argsort(_shuffled(count, permutation)).reshape(height, width),
    }
    return chosen("order of reading (model.read)", order, places)
