"""The pixels of the image, resized to a fixed size."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import check_at_least


class Descriptor(nn.Module):
    """Returns all values of the pixels (b, size * size * c)."""

    size: int = 28  # height and width, by averages over areas where the image is larger

    @nn.compact
    def __call__(self, images_bxhxwxc: jax.Array) -> jax.Array:
        """Returns the features of images in [0, 1]."""
        check_at_least(1, size=self.size)
        b, _, _, c = images_bxhxwxc.shape
        resized = jax.image.resize(images_bxhxwxc.astype(jnp.float32), (b, self.size, self.size, c), "linear")
        features_bxd: jax.Array = resized.reshape(b, -1)
        return features_bxd
