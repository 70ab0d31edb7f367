"""Features of windows around objects."""

from __future__ import annotations

import jax
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.nn.conv import Conv
from imgloc.nn.pool import max_pool


class CropEncoder(nn.Module):
    """Convolutions, each followed by a pooling that halves the window, and a dense layer: (b, n, s, s, c) to (b, n, d)."""

    features: tuple[int, ...]
    width: int  # d

    @nn.compact
    def __call__(self, windows_bxnxsxsxc: jax.Array) -> jax.Array:
        """Returns the features. Raises UserError for more convolutions than the window has halves."""
        side = windows_bxnxsxsxc.shape[2]
        if not self.features or side % 2 ** len(self.features):
            raise UserError(f"model.size {side} must be a multiple of 2 to the number of model.features, {len(self.features)}")
        x = windows_bxnxsxsxc.reshape(-1, *windows_bxnxsxsxc.shape[2:])
        for width in self.features:
            x = nn.relu(max_pool(Conv(width, (3, 3))(x)))
        x = nn.relu(nn.Dense(self.width)(x.reshape(len(x), -1)))
        return x.reshape(*windows_bxnxsxsxc.shape[:2], self.width)
