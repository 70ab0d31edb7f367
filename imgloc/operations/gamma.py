"""Gamma correction."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image import histograms
from imgloc.interfaces import Operation


def gamma(images_bxhxwxc: jax.Array, *, exponent: float = 0.5) -> jax.Array:
    """Pixels to the power `exponent`, at least 0: below 1 dark parts become brighter, above 1 darker."""
    return histograms.adjust_gamma(images_bxhxwxc, exponent)


OPERATION = Operation(gamma, "pixels to a power, which makes dark parts brighter or darker", draw.show_pixels)
