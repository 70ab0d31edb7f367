"""Windows on an image that are cheap to look through: one matrix of weights for its rows, one for its columns, two products.

What a window shows, (b, s, s, c), is `look(images, rows, columns)`; the weights, (b, s, h) and (b, s, w), say where it is and how it
samples: `cropped` as a crop that is pooled, `bilinear` by tents, `gaussian` by bells. What lies beyond the image is 0; `gaussian`
weighs the image's own pixels alone.
Crops of one image at many places are cheaper still as `crops(pooled(images, scales), place, size)`: pooled once, then read at each place.
Places are (x, y) in [0, 1] of the image, windows (center x, center y, side x, side y).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

Weights = tuple[jax.Array, jax.Array]  # of rows (b, s, h) and of columns (b, s, w)


def look(images_bxhxwxc: jax.Array, weights: Weights) -> jax.Array:
    """What a window shows of each image, (b, s, s, c)."""
    rows_bxsxh, columns_bxsxw = (array.astype(images_bxhxwxc.dtype) for array in weights)
    return jnp.einsum("bih,bjw,bhwc->bijc", rows_bxsxh, columns_bxsxw, images_bxhxwxc, optimize=True)


def cropped(center_bx2: jax.Array, size: int, scale: int, height: int, width: int) -> Weights:
    """A crop of whole pixels, `size * scale` a side, its center as near to the place as they allow, pooled by means to `size` a side.

    The glimpse of Mnih et al., 2014 (arXiv:1406.6247). It has no gradient with respect to the place.
    """

    def weights(center_b: jax.Array, length: int) -> jax.Array:
        first_b = _first_pixel(center_b, size * scale, length)
        cell_bxl = jnp.floor((jnp.arange(length) - first_b[:, None]) / scale)  # of the pooled crop, that each pixel falls into
        return (cell_bxl[:, None] == jnp.arange(size)[:, None]) / scale

    return _both(weights, jax.lax.stop_gradient(center_bx2), height, width)


def pooled(images_bxhxwxc: jax.Array, scales: int) -> list[jax.Array]:
    """Images of the means of all `s * s` pixels, one for s = 1, 2, 4, ...: (b, h + s - 1, w + s - 1, c), 0 beyond the edges, float32.

    The first mean of a row has one pixel of the image, at its left edge, the last one at its right edge.
    """
    b, height, width, channels = images_bxhxwxc.shape
    levels = [images_bxhxwxc.astype(jnp.float32).reshape(b, height, width * channels)]  # a CPU adds along a long last axis
    for i in range(1, scales):
        half, across = 2 ** (i - 1), 2 ** (i - 1) * channels
        level = jnp.pad(levels[-1], ((0, 0), (half, half), (across, across)))
        level = level[:, :-half] + level[:, half:]
        levels.append((level[:, :, :-across] + level[:, :, across:]) / 4)
    return [level.reshape(*level.shape[:2], -1, channels) for level in levels]


def crops(levels: Sequence[jax.Array], center_bx2: jax.Array, size: int) -> list[jax.Array]:
    """What `cropped` shows of images at the scales 1, 2, 4, ... of their `pooled` levels: (b, s, s, c) of each, float32."""
    height, width = levels[0].shape[1:3]

    def crop(level: jax.Array, scale: int) -> jax.Array:
        at_x, at_y = (_first_pixel(center_bx2[:, axis, None], size * scale, n) for axis, n in ((0, width), (1, height)))
        (rows, row_is_bxs), (columns, column_is_bxs) = (
            _inside(at.astype(jnp.int32) + scale * jnp.arange(size) + scale - 1, n)
            for at, n in ((at_y, level.shape[1]), (at_x, level.shape[2]))
        )
        # Elements of a flat image: XLA's loops over slices take several times as long on a CPU.
        index = (rows[:, :, None] * level.shape[2] + columns[:, None]).reshape(len(level), -1, 1)
        values = jnp.take_along_axis(level.reshape(len(level), -1, level.shape[3]), index, axis=1, mode="promise_in_bounds")
        is_there = row_is_bxs[:, :, None, None] & column_is_bxs[:, None, :, None]
        return jnp.where(is_there, values.reshape(len(level), size, size, -1), 0)

    return [crop(level, 2**i) for i, level in enumerate(levels)]


def _inside(index: jax.Array, length: int) -> tuple[jax.Array, jax.Array]:
    """Indices moved into [0, length), and where they were there before."""
    return index.clip(0, length - 1), (index >= 0) & (index < length)


def cropped_boxes(center_bx2: jax.Array, size: int, height: int, width: int) -> jax.Array:
    """The boxes (b, 4) that crops of `size` pixels a side around places cover, outside of [0, 1] too; see `cropped`."""
    x_b, y_b = (_first_pixel(center_bx2[:, axis], size, length) for axis, length in ((0, width), (1, height)))
    return jnp.stack([x_b / width, y_b / height, (x_b + size) / width, (y_b + size) / height], axis=-1)


def _first_pixel(center_b: jax.Array, side: int, length: int) -> jax.Array:
    return jnp.round(center_b * length - side / 2)


def bilinear(window_bx4: jax.Array, size: int, height: int, width: int) -> Weights:
    """A window sampled at the centers of its `size * size` cells, pixels between which a sample lies by their distance.

    The sampling of a spatial transformer that scales and shifts (Jaderberg et al., 2015, arXiv:1506.02025); tents are wider where
    the window is shrunk, so that no pixel is skipped.
    """

    def weights(window_bx2: jax.Array, length: int) -> jax.Array:
        center_b, side_b = window_bx2[:, 0], window_bx2[:, 1]
        positions_bxs = center_b[:, None] + ((jnp.arange(size) + 0.5) / size - 0.5) * side_b[:, None]
        distance_bxsxl = positions_bxs[:, :, None] * length - 0.5 - jnp.arange(length)
        reach_b = jnp.maximum(side_b * length / size, 1.0)[:, None, None]
        return jnp.maximum(0.0, 1.0 - jnp.abs(distance_bxsxl) / reach_b) / reach_b

    return _both(weights, window_bx4.astype(jnp.float32).reshape(-1, 2, 2).swapaxes(1, 2), height, width)


def gaussian(window_bx4: jax.Array, deviation_b: jax.Array, size: int, height: int, width: int) -> Weights:
    """A grid of `size * size` Gaussian filters as wide as the window, of one standard deviation in pixels.

    The attention of DRAW (Gregor et al., 2015, arXiv:1502.04623): each filter's weights add up to 1 over the image's pixels.
    """

    def weights(window_bx2: jax.Array, length: int) -> jax.Array:
        center_b, side_b = window_bx2[:, 0] * length, window_bx2[:, 1] * length
        stride_b = side_b / max(size - 1, 1)
        means_bxs = center_b[:, None] + (jnp.arange(size) - (size - 1) / 2) * stride_b[:, None]
        distance_bxsxl = (jnp.arange(length) + 0.5 - means_bxs[:, :, None]) / deviation_b[:, None, None]
        bells_bxsxl = jnp.exp(-0.5 * distance_bxsxl**2)
        return bells_bxsxl / jnp.maximum(bells_bxsxl.sum(axis=-1, keepdims=True), 1e-8)

    return _both(weights, window_bx4.astype(jnp.float32).reshape(-1, 2, 2).swapaxes(1, 2), height, width)


def _both(weights: Callable[[jax.Array, int], jax.Array], places_bx2: jax.Array, height: int, width: int) -> Weights:
    """Weights of rows and of columns from what stands for x and y along axis 1."""
    return weights(places_bx2[:, 1], height), weights(places_bx2[:, 0], width)
