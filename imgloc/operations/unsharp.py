"""An unsharp mask."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image import filters
from imgloc.interfaces import Operation


def unsharp(images_bxhxwxc: jax.Array, *, sigma: float = 2.0, amount: float = 1.0) -> jax.Array:
    """Images with `amount` times their difference from a Gaussian blur added, in [0, 1]."""
    return filters.unsharp_mask(images_bxhxwxc, sigma, amount)


OPERATION = Operation(unsharp, "images sharpened by their difference from a blur", draw.show_pixels)
