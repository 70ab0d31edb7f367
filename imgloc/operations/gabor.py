"""Gabor filters of several orientations."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from imgloc import draw
from imgloc.errors import UserError
from imgloc.image.gabor import gabor as responses
from imgloc.image.scale import as_gray
from imgloc.interfaces import Operation


def gabor(images_bxhxwxc: jax.Array, *, frequency: float = 0.2, orientations: int = 4) -> jax.Array:
    """The magnitude of the responses of the gray image to waves of `frequency` periods a pixel: (b, h, w, orientations)."""
    if orientations < 1:
        raise UserError(f"gabor: orientations must be at least 1, got {orientations}")
    grays = as_gray(images_bxhxwxc)
    grays = grays - grays.mean(axis=(1, 2, 3), keepdims=True)  # the real kernels do not sum to 0
    parts = [responses(grays, frequency, math.pi * i / orientations) for i in range(orientations)]
    # Of a magnitude near 0 the gradient is 0, not NaN.
    return jnp.concatenate([jnp.sqrt(jnp.maximum(real**2 + imaginary**2, 1e-12)) for real, imaginary in parts], axis=-1)


OPERATION = Operation(gabor, "how strongly stripes of one width and each orientation are present", draw.show_range, channels=(1, 3))
