"""Histograms of oriented gradients (Dalal and Triggs, CVPR 2005); see `imgloc.features.hog`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import check_at_least
from imgloc.features.hog import hog


class Descriptor(nn.Module):
    """Returns the normalized blocks of histograms, flat (b, d)."""

    size: int = 0  # height and width to which images are resized first; 0: they are not
    cell: int = 8  # pixels: height and width of a cell
    block: int = 2  # cells: height and width of a block
    orientations: int = 9

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array) -> jax.Array:
        """Returns the features of images in [0, 1]."""
        check_at_least(0, size=self.size)
        check_at_least(1, cell=self.cell, block=self.block, orientations=self.orientations)
        images = images_bxhxwxc.astype(jnp.float32)
        if self.size:
            b, _, _, c = images.shape
            images = jax.image.resize(images, (b, self.size, self.size, c), "linear")
        features_bxd: jax.Array = hog(
            images, orientations=self.orientations, pixels_per_cell=(self.cell, self.cell), cells_per_block=(self.block, self.block)
        )
        return features_bxd
