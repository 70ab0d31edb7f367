"""Otsu's threshold."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image import thresholds
from imgloc.image.scale import as_gray
from imgloc.interfaces import Operation


def otsu(images_bxhxwxc: jax.Array, *, bins: int = 256) -> jax.Array:
    """1 where the gray image is above the threshold that separates its values best, else 0: (b, h, w, 1)."""
    grays = as_gray(images_bxhxwxc)
    return (grays > thresholds.otsu(grays, bins=bins)).astype(images_bxhxwxc.dtype)


OPERATION = Operation(otsu, "bright and dark, divided by one threshold for each image", draw.show_pixels, channels=(1, 3))
