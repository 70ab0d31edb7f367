"""YCbCr."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image.color import rgb_to_ycbcr
from imgloc.interfaces import Operation


def ycbcr(images_bxhxwxc: jax.Array) -> jax.Array:
    """Luma and the differences of blue and red from it, each divided by 255: (b, h, w, 3)."""
    return rgb_to_ycbcr(images_bxhxwxc) / 255


OPERATION = Operation(
    ycbcr, "luma and two differences of colors, as in JPEG files, drawn as red, green and blue", draw.show_pixels, channels=(3,)
)
