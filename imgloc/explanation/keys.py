"""Random keys of images, so that the random numbers for an image do not depend on the other images of its batch."""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax.typing import ArrayLike

from imgloc.randomness import purpose_number


def image_keys(seed: ArrayLike, purpose: str, index_b: jax.Array) -> jax.Array:
    """The keys (b,) of a purpose for the images with these indices."""
    key = jax.random.fold_in(jax.random.key(seed), purpose_number(purpose))
    return jax.vmap(lambda index: jax.random.fold_in(key, index))(index_b)


def draw_per_image(draw: Callable[[jax.Array], jax.Array], keys_b: jax.Array, number: ArrayLike = 0) -> jax.Array:
    """What `draw` returns for the key of each image and a number, such as that of a sample, stacked along a first axis."""
    return jax.vmap(lambda key: draw(jax.random.fold_in(key, number)))(keys_b)
