"""Contrast stretching."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image import histograms
from imgloc.interfaces import Operation


def stretch(images_bxhxwxc: jax.Array, *, lower: float = 2.0, upper: float = 98.0) -> jax.Array:
    """Images stretched to [0, 1] between two percentiles of their values."""
    return histograms.stretch_contrast(images_bxhxwxc, lower, upper)


OPERATION = Operation(stretch, "values stretched between two percentiles", draw.show_pixels)
