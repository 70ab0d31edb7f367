"""Hue, saturation and value."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image.color import rgb_to_hsv
from imgloc.interfaces import Operation


def hsv(images_bxhxwxc: jax.Array) -> jax.Array:
    """Hue, saturation and value, each in [0, 1]: (b, h, w, 3)."""
    return rgb_to_hsv(images_bxhxwxc)


OPERATION = Operation(hsv, "hue, saturation and value of colors, drawn as red, green and blue", draw.show_pixels, channels=(3,))
