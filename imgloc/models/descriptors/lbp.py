"""Histograms of uniform local binary patterns (Ojala et al., 2002), for each cell of a grid; see `imgloc.features.lbp`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.features.lbp import local_binary_pattern, number_of_patterns, pattern_histograms


class Descriptor(nn.Module):
    """Returns the shares of the patterns of each cell and channel (b, grid * grid * c * (points + 2)); those of a cell sum to 1."""

    points: int = 8  # on the circle around a pixel
    radius: float = 1.0  # pixels
    grid: int = 4  # cells in each direction

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array) -> jax.Array:
        """Returns the features of images in [0, 1]."""
        patterns = local_binary_pattern(images_bxhxwxc.astype(jnp.float32), points=self.points, radius=self.radius, method="uniform")
        bins = number_of_patterns(self.points, "uniform")
        features_bxd: jax.Array = pattern_histograms(patterns, bins=bins, cells=(self.grid, self.grid)).reshape(patterns.shape[0], -1)
        return features_bxd
