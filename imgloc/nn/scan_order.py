"""Images as sequences: rows, columns, or pixels in raster or in permuted order."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import UserError, look_up
from imgloc.types import IntArray


def rows(images_bxhxwxc: jax.Array) -> jax.Array:
    """Returns (b, h, w c), from the top row to the bottom row."""
    b, h, w, c = images_bxhxwxc.shape
    return images_bxhxwxc.reshape(b, h, w * c)


def columns(images_bxhxwxc: jax.Array) -> jax.Array:
    """Returns (b, w, h c), from the left column to the right column."""
    return rows(jnp.swapaxes(images_bxhxwxc, 1, 2))


def pixels(images_bxhxwxc: jax.Array) -> jax.Array:
    """Returns (b, h w, c), row after row (Le, Jaitly and Hinton, 2015, arXiv:1504.00941)."""
    b, h, w, c = images_bxhxwxc.shape
    return images_bxhxwxc.reshape(b, h * w, c)


def permuted_pixels(images_bxhxwxc: jax.Array, seed: int = 0) -> jax.Array:
    """Returns (b, h w, c), the pixels in one random order for all images, which NumPy's generator draws from `seed`."""
    return pixels(images_bxhxwxc)[:, _permutation(images_bxhxwxc.shape[1] * images_bxhxwxc.shape[2], seed)]


def _permutation(count: int, seed: int) -> IntArray:
    return np.random.default_rng(seed).permutation(count)


SCAN_ORDERS = {"rows": rows, "columns": columns, "pixels": pixels, "permuted_pixels": permuted_pixels}


def image_to_sequence(images_bxhxwxc: jax.Array, order: str, permutation_seed: int = 0) -> jax.Array:
    """Returns the images as sequences (b, t, f) in one of SCAN_ORDERS.

    Raises UserError for another order, for a seed below 0, and for a seed with an order that is not permuted.
    """
    to_sequence = look_up("scan order (model.scan_order)", order, SCAN_ORDERS)
    if permutation_seed < 0:
        raise UserError(f"model.permutation_seed is {permutation_seed}; possible: at least 0")
    if permutation_seed and order != "permuted_pixels":
        raise UserError(f"model.permutation_seed is {permutation_seed}, but model.scan_order={order} permutes nothing; set it to 0")
    return permuted_pixels(images_bxhxwxc, permutation_seed) if order == "permuted_pixels" else to_sequence(images_bxhxwxc)


def scan_steps(order: str, height: int, width: int, permutation_seed: int = 0) -> IntArray:
    """Returns the step of `image_to_sequence` that reads each pixel: (h, 1) for rows, (1, w) for columns, (h, w) for pixels."""
    count = height * width
    steps = {
        "rows": np.arange(height)[:, None],
        "columns": np.arange(width)[None],
        "pixels": np.arange(count).reshape(height, width),
        "permuted_pixels": np.argsort(_permutation(count, permutation_seed)).reshape(height, width),
    }
    return look_up("scan order (model.scan_order)", order, steps)
