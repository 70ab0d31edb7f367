"""Sauvola's threshold."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image import thresholds
from imgloc.image.scale import as_gray
from imgloc.interfaces import Operation


def sauvola(images_bxhxwxc: jax.Array, *, size: int = 15, k: float = 0.2) -> jax.Array:
    """1 where the gray image is above the threshold of the window of `size` pixels around the pixel, else 0: (b, h, w, 1)."""
    grays = as_gray(images_bxhxwxc)
    return (grays > thresholds.sauvola(grays, size, k)).astype(images_bxhxwxc.dtype)


OPERATION = Operation(sauvola, "bright and dark, divided by a threshold for each neighborhood", draw.show_pixels, channels=(1, 3))
