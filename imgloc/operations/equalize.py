"""Histogram equalization."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image import histograms
from imgloc.interfaces import Operation


def equalize(images_bxhxwxc: jax.Array, *, bins: int = 256) -> jax.Array:
    """Images whose values are spread evenly over [0, 1]: the share of values that are not above each."""
    return histograms.equalize(images_bxhxwxc, bins=bins)


OPERATION = Operation(equalize, "values spread evenly from black to white", draw.show_pixels)
