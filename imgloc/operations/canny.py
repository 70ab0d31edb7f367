"""Edges by Canny's detector."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image.canny import canny as edges
from imgloc.image.scale import as_gray
from imgloc.interfaces import Operation


def canny(images_bxhxwxc: jax.Array, *, sigma: float = 1.0, low: float = 0.1, high: float = 0.2) -> jax.Array:
    """1 on edges of the gray image, else 0: (b, h, w, 1). `low` and `high` are magnitudes of the gradient, 0 to about 5."""
    return edges(as_gray(images_bxhxwxc), sigma, low=low, high=high).astype(images_bxhxwxc.dtype)


OPERATION = Operation(canny, "thin edges: maxima of the gradient that are connected to a strong one", draw.show_pixels, channels=(1, 3))
