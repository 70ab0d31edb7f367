"""A bilateral filter."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image.bilateral import bilateral as filtered
from imgloc.interfaces import Operation


def bilateral(images_bxhxwxc: jax.Array, *, color: float = 0.1, sigma: float = 2.0) -> jax.Array:
    """Images blurred by a Gaussian of `sigma` pixels that weighs pixels of another color less; `color` is its standard deviation."""
    return filtered(images_bxhxwxc, color, sigma)


OPERATION = Operation(bilateral, "a blur that keeps edges, since pixels of another color weigh less", draw.show_pixels)
