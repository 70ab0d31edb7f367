"""A median filter."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image import filters
from imgloc.interfaces import Operation


def median(images_bxhxwxc: jax.Array, *, size: int = 5) -> jax.Array:
    """The median of the window of `size` x `size` pixels around each pixel."""
    return filters.median(images_bxhxwxc, size)


OPERATION = Operation(
    median, "the median of the pixels around each pixel, which removes single bad pixels and keeps edges", draw.show_pixels
)
