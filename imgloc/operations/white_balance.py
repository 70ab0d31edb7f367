"""White balance of a gray world."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image import histograms
from imgloc.interfaces import Operation


def white_balance(images_bxhxwxc: jax.Array) -> jax.Array:
    """Images whose channels are scaled to the mean of all three, in [0, 1]: the mean color becomes gray (Buchsbaum, 1980)."""
    return histograms.gray_world(images_bxhxwxc)


OPERATION = Operation(
    white_balance, "the cast of a colored light removed, on the assumption that the mean color is gray", draw.show_pixels, channels=(3,)
)
