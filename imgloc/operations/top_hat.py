"""The white top-hat."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image import morphology
from imgloc.interfaces import Operation


def top_hat(images_bxhxwxc: jax.Array, *, size: int = 9) -> jax.Array:
    """Images less their opening by a square of `size` pixels: bright spots that are smaller than the square."""
    return morphology.white_tophat(images_bxhxwxc, morphology.square(size))


OPERATION = Operation(top_hat, "bright spots smaller than a square", draw.show_range)
