"""A Gaussian blur."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image import filters
from imgloc.interfaces import Operation


def gaussian(images_bxhxwxc: jax.Array, *, sigma: float = 2.0) -> jax.Array:
    """Images blurred by a Gaussian with the standard deviation `sigma` in pixels."""
    return filters.gaussian(images_bxhxwxc, sigma)


OPERATION = Operation(gaussian, "images blurred by a Gaussian, which removes noise and fine detail", draw.show_pixels)
