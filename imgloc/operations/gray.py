"""Gray levels."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image.scale import as_gray
from imgloc.interfaces import Operation


def gray(images_bxhxwxc: jax.Array) -> jax.Array:
    """The luminance of images of 3 channels (b, h, w, 1)."""
    return as_gray(images_bxhxwxc)


OPERATION = Operation(gray, "the luminance of colors", draw.show_pixels, channels=(1, 3))
