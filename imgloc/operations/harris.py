"""Corners by Harris and Stephens."""

from __future__ import annotations

import math

import jax

from imgloc import draw
from imgloc.image.borders import pad
from imgloc.image.scale import as_gray
from imgloc.image.structure_tensor import harris as response
from imgloc.interfaces import Operation


def harris(images_bxhxwxc: jax.Array, *, sigma: float = 1.0, k: float = 0.05) -> jax.Array:
    """The corner response of the gray image (b, h, w, 1): positive at corners, negative at edges."""
    margin = math.ceil(4 * max(sigma, 0.0)) + 1  # so that the zeros beyond the border, which look like edges, stay outside
    padded = pad(as_gray(images_bxhxwxc), (margin, margin), (margin, margin), "nearest")
    return response(padded, sigma, k=k)[:, margin:-margin, margin:-margin]


OPERATION = Operation(harris, "corners, where the image changes in two directions", draw.show_signed, channels=(1, 3))
