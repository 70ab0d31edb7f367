"""Joint histograms of the channels of an image (Swain and Ballard, 1991), for each cell of a grid."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import check_at_least


class Descriptor(nn.Module):
    """Returns the shares of the pixels of each cell in each bin (b, grid * grid * bins ** c); those of a cell sum to 1."""

    bins: int = 8  # of each channel
    grid: int = 1  # cells in each direction

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array) -> jax.Array:
        """Returns the features of images in [0, 1]."""
        check_at_least(1, bins=self.bins, grid=self.grid)
        b, h, w, c = images_bxhxwxc.shape
        index_bxhxwxc = jnp.clip((images_bxhxwxc.astype(jnp.float32) * self.bins).astype(jnp.int32), 0, self.bins - 1)
        bin_bxhxw = (index_bxhxwxc * self.bins ** jnp.arange(c)).sum(axis=-1)
        cell_hxw = (jnp.arange(h) * self.grid // h)[:, None] * self.grid + jnp.arange(w) * self.grid // w
        length, cells = self.bins**c, self.grid**2
        place_bxm = (cell_hxw * length + bin_bxhxw).reshape(b, -1)
        counts = jax.vmap(lambda place_m: jnp.zeros(cells * length).at[place_m].add(1.0))(place_bxm).reshape(b, cells, length)
        return (counts / jnp.maximum(counts.sum(axis=-1, keepdims=True), 1.0)).reshape(b, -1)
