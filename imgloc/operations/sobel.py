"""The magnitude of Sobel's gradient."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image import filters, gradients
from imgloc.interfaces import Operation


def sobel(images_bxhxwxc: jax.Array, *, sigma: float = 0.0) -> jax.Array:
    """The magnitude of the gradient of each channel, after a Gaussian blur of `sigma` pixels; 0 is none."""
    return gradients.sobel(filters.gaussian(images_bxhxwxc, sigma))


OPERATION = Operation(sobel, "how fast pixels change, by Sobel's kernels", draw.show_range)
