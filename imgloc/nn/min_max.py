"""Maps scaled to [0, 1] by their smallest and largest values."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def min_max(maps: jax.Array, *, flat: float = 0.0) -> jax.Array:
    """Returns each map (b, h, w) or (b, h, w, k) from 0 at its minimum to 1 at its maximum.

    A map is zeros where its range is at most `flat` times its largest magnitude.
    """
    low, high = (reduce(axis=(1, 2), keepdims=True) for reduce in (maps.min, maps.max))
    varies = high - low > flat * jnp.maximum(jnp.abs(low), jnp.abs(high))
    return jnp.where(varies, (maps - low) / jnp.where(varies, high - low, 1), 0)
