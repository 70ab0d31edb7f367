"""CIELAB."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image.color import rgb_to_lab
from imgloc.interfaces import Operation


def lab(images_bxhxwxc: jax.Array) -> jax.Array:
    """Lightness L, and a and b around 0 for gray, each divided by 100: (b, h, w, 3)."""
    return rgb_to_lab(images_bxhxwxc) / 100


OPERATION = Operation(lab, "lightness, green to red and blue to yellow, with distances as people see them", draw.show_range, channels=(3,))
