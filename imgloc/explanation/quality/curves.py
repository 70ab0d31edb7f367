"""Deletion and insertion: how the score changes as pixels leave or enter the image in the order of a map (RISE, arXiv:1806.07421)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from imgloc.nn.conv import conv

BLUR = 5.0  # standard deviation of the blur that insertion starts with, for images of 224 pixels; smaller images in proportion


def deletion_curve(score: Callable[[jax.Array], jax.Array], images_bxhxwxc: jax.Array, maps_bxhxw: jax.Array, steps: int) -> jax.Array:
    """The scores (b, steps + 1) with the pixels of the highest values set to 0: none, equal further shares, and all of them."""
    return _curve(score, jnp.zeros_like(images_bxhxwxc), images_bxhxwxc, maps_bxhxw, steps)


def insertion_curve(score: Callable[[jax.Array], jax.Array], images_bxhxwxc: jax.Array, maps_bxhxw: jax.Array, steps: int) -> jax.Array:
    """The scores (b, steps + 1) of a blurred image in which the pixels of the highest values are sharp: none, equal shares, and all."""
    return _curve(score, images_bxhxwxc, blurred(images_bxhxwxc), maps_bxhxw, steps)


def area_under(curve_bxs: jax.Array) -> jax.Array:
    """The area (b,) under curves over [0, 1], by the trapezoidal rule."""
    return ((curve_bxs[:, 1:] + curve_bxs[:, :-1]) / 2).mean(axis=1)


def blurred(images_bxhxwxc: jax.Array) -> jax.Array:
    """Images with a Gaussian blur of `BLUR` / 224 of their shorter side; the border repeats its pixels."""
    height, width, channels = images_bxhxwxc.shape[1:]
    sigma = BLUR * min(height, width) / 224
    reach = max(1, round(3 * sigma))
    line = jnp.exp(-0.5 * jnp.square(jnp.arange(-reach, reach + 1) / sigma))
    line = jnp.tile((line / line.sum()).astype(images_bxhxwxc.dtype)[:, None, None, None], (1, 1, 1, channels))
    padded = jnp.pad(images_bxhxwxc, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    vertical = conv(padded, line, padding="VALID", groups=channels)
    return conv(vertical, jnp.swapaxes(line, 0, 1), padding="VALID", groups=channels)


def _curve(score: Callable[[jax.Array], jax.Array], highest: jax.Array, others: jax.Array, maps_bxhxw: jax.Array, steps: int) -> jax.Array:
    """The scores of `others` in which the pixels of the highest values are those of `highest`."""
    b, height, width = maps_bxhxw.shape
    order_bxn = jnp.argsort(-maps_bxhxw.reshape(b, -1), axis=1, stable=True)
    rank_bxhxwx1 = jnp.argsort(order_bxn, axis=1).reshape(b, height, width, 1)

    def at_step(step: jax.Array) -> jax.Array:
        return score(jnp.where(rank_bxhxwx1 * steps < step * height * width, highest, others))

    scores_sxb: jax.Array = jax.lax.map(at_step, jnp.arange(steps + 1))
    return scores_sxb.T
