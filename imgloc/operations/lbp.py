"""Local binary patterns."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from imgloc import draw
from imgloc.features.lbp import local_binary_pattern, number_of_patterns
from imgloc.interfaces import Operation
from imgloc.types import FloatArray


def lbp(images_bxhxwxc: jax.Array, *, points: int = 8, radius: float = 1.0, method: str = "uniform") -> jax.Array:
    """The pattern of each pixel and channel, divided by the highest number of a pattern: (b, h, w, c) in [0, 1]."""
    patterns = local_binary_pattern(images_bxhxwxc, points=points, radius=radius, method=method)
    return jnp.asarray(patterns / (number_of_patterns(points, method) - 1))  # type: ignore[arg-type]


def picture(maps_hxwxk: FloatArray) -> FloatArray:
    """The mean of the patterns of all channels: those of single channels differ like noise."""
    return draw.show_pixels(np.asarray(maps_hxwxk).mean(axis=2, keepdims=True))


OPERATION = Operation(lbp, "which neighbors of a pixel are at least as bright as it is", picture)
