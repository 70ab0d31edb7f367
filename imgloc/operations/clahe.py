"""Contrast-limited adaptive equalization."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image.clahe import clahe as equalized
from imgloc.interfaces import Operation


def clahe(images_bxhxwxc: jax.Array, *, clip_limit: float = 0.01) -> jax.Array:
    """Images with the contrast of each neighborhood stretched, in [0, 1]; `clip_limit` limits how much."""
    return equalized(images_bxhxwxc, clip_limit=clip_limit)


OPERATION = Operation(clahe, "the contrast of each neighborhood stretched, within a limit", draw.show_pixels, channels=(1, 3))
