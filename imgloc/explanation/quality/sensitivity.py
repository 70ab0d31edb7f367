"""Max-sensitivity: how much a map changes when the image changes a little (Yeh et al., 2019, arXiv:1901.09392)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from imgloc.explanation.keys import draw_per_image


def max_sensitivity(
    explain: Callable[[jax.Array], jax.Array],
    images_bxhxwxc: jax.Array,
    maps_bxhxw: jax.Array,
    keys_b: jax.Array,
    *,
    radius: float = 0.02,
    samples: int = 8,
) -> jax.Array:
    """The largest relative change (b,) of a map over random changes of the pixels by at most `radius` (definition 2, estimated).

    `maps_bxhxw` are the maps that `explain` returns for the images. The change is the Euclidean norm of the difference of two
    maps over that of the map; it is NaN where the map is zeros.
    """
    norm_b = jnp.sqrt(jnp.square(maps_bxhxw).sum(axis=(1, 2)))

    def noise_of(key: jax.Array) -> jax.Array:
        return jax.random.uniform(key, images_bxhxwxc.shape[1:], images_bxhxwxc.dtype, -radius, radius)

    def change(number: jax.Array) -> jax.Array:
        noise = draw_per_image(noise_of, keys_b, number)
        difference = explain(images_bxhxwxc + noise) - maps_bxhxw
        return jnp.sqrt(jnp.square(difference).sum(axis=(1, 2)))

    largest_b = jax.lax.map(change, jnp.arange(samples)).max(axis=0)
    return jnp.where(norm_b > 0, largest_b / jnp.where(norm_b > 0, norm_b, 1.0), jnp.nan)
