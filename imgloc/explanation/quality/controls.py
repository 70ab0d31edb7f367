"""Maps that explain nothing, to compare explanations with: a Gaussian at the center, edges, and random numbers."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from imgloc.explanation.keys import draw_per_image
from imgloc.nn.conv import conv


def center(images_bxhxwxc: jax.Array, keys_b: jax.Array) -> jax.Array:
    """A Gaussian (b, h, w) at the center of the image, with a standard deviation of a quarter of each side."""
    b, height, width, _ = images_bxhxwxc.shape
    y, x = ((jnp.arange(size) + 0.5) / size - 0.5 for size in (height, width))
    gaussian = jnp.exp(-0.5 * (jnp.square(y / 0.25)[:, None] + jnp.square(x / 0.25)[None]))
    return jnp.broadcast_to(gaussian, (b, height, width))


def edges(images_bxhxwxc: jax.Array, keys_b: jax.Array) -> jax.Array:
    """The magnitude (b, h, w) of Sobel's gradient of the mean of the channels; the border repeats its pixels."""
    grey = jnp.pad(images_bxhxwxc.mean(axis=-1, keepdims=True), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    sobel = jnp.outer(jnp.array([1.0, 2.0, 1.0]), jnp.array([-1.0, 0.0, 1.0]))
    gradient = conv(grey, jnp.stack([sobel, sobel.T], axis=-1)[:, :, None].astype(grey.dtype), padding="VALID")
    return jnp.sqrt(jnp.square(gradient).sum(axis=-1))


def noise(images_bxhxwxc: jax.Array, keys_b: jax.Array) -> jax.Array:
    """Uniform random numbers (b, h, w)."""
    return draw_per_image(lambda key: jax.random.uniform(key, images_bxhxwxc.shape[1:3]), keys_b)


CONTROLS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {"center": center, "edges": edges, "noise": noise}
