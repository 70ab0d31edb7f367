"""Bilinear sampling of rectangles of images on the device, in integers, so that every device and every partition gives the same bits."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from imgloc.types import Array

BITS = 11  # of weights, as in OpenCV (INTER_RESIZE_COEF_BITS): a pixel times two weights fits in 31 bits
UNIT = 1 << BITS


class Taps(NamedTuple):
    """The two source pixels of each output pixel along one axis, int32 arrays that broadcast, and the weight of the second in UNIT."""

    low: jax.Array
    high: jax.Array
    weight: jax.Array


def taps(start: Array, length: Array, source_start: Array, source_length: Array, side: int) -> Taps:
    """The taps (..., side) that stretch source pixels [source_start, source_start + source_length) to [start, start + length).

    Arguments are integers [...]; lengths of 0 count as 1. Centers map to centers, and pixels beyond the edges repeat the last one.
    Outputs outside [start, start + length) have taps inside the source as well.
    """
    edges = (start, length, source_start, source_length)
    start, length, source_start, source_length = (jnp.asarray(edge, jnp.int32)[..., None] for edge in edges)
    length, source_length = jnp.maximum(length, 1), jnp.maximum(source_length, 1)
    # The place of a center in source pixels is numerator / (2 length).
    numerator = (2 * (jnp.arange(side) - start) + 1) * source_length - length
    floor = numerator // (2 * length)
    weight = ((numerator - floor * 2 * length) * UNIT + length) // (2 * length)
    low, high = (source_start + jnp.clip(place, 0, source_length - 1) for place in (floor, floor + 1))
    return Taps(low, high, weight)


def sample(images: Array, index: tuple[Array, ...], rows: Taps, columns: Taps) -> jax.Array:
    """Pixels uint8 (..., c) of an image (h, w, c), bilinear between rows and columns and rounded once.

    `index` is empty, or holds the index of an image of a batch (b, h, w, c) for each pixel; it broadcasts with rows and columns. Two
    pixels are read along each axis, also where an image shrinks, which skips pixels below half of its size.
    """

    def pixels(row: jax.Array, column: jax.Array) -> jax.Array:
        return jnp.asarray(images).at[(*index, row, column)].get(mode="promise_in_bounds").astype(jnp.int32)

    def between(low: jax.Array, high: jax.Array, weight: jax.Array) -> jax.Array:
        return low * (UNIT - weight[..., None]) + high * weight[..., None]

    upper, lower = (between(pixels(row, columns.low), pixels(row, columns.high), columns.weight) for row in (rows.low, rows.high))
    rounded = (between(upper, lower, rows.weight) + UNIT**2 // 2) >> 2 * BITS
    return rounded.astype(jnp.uint8)
