"""Differentiable and cropped windows on an image, read by one matrix of weights for its rows and one for its columns.

`read_window(images, weights)` returns the pixels (b, s, s, c) of a window. Its weights, (b, s, h) for rows and (b, s, w) for columns,
decide where the window is and how it samples: `crop_weights` average the pixels of a crop, `bilinear_weights` are triangular filters,
`gaussian_weights` Gaussian ones. Pixels beyond the image are 0, except for `gaussian_weights`, which only weigh pixels of the image.
To read crops of the same images at many places, `read_crops(mean_pyramid(images, scales), place, size)` costs less.
Places are (x, y) in [0, 1] of the image, windows (center x, center y, side x, side y).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

Weights = tuple[jax.Array, jax.Array]  # of rows (b, s, h) and of columns (b, s, w)


def read_window(images_bxhxwxc: jax.Array, weights: Weights) -> jax.Array:
    """The pixels (b, s, s, c) of a window on each image."""
    rows_bxsxh, columns_bxsxw = (array.astype(images_bxhxwxc.dtype) for array in weights)
    return jnp.einsum("bih,bjw,bhwc->bijc", rows_bxsxh, columns_bxsxw, images_bxhxwxc, optimize=True)


def crop_weights(center_bx2: jax.Array, size: int, scale: int, height: int, width: int) -> Weights:
    """Weights of a crop of `size * scale` whole pixels a side, average-pooled to `size` a side.

    The glimpse of Mnih et al., 2014 (arXiv:1406.6247). Its center is rounded to whole pixels and has no gradient.
    """

    def weights(center_b: jax.Array, length: int) -> jax.Array:
        first_b = _first_pixel(center_b, size * scale, length)
        cell_bxl = jnp.floor((jnp.arange(length) - first_b[:, None]) / scale)  # of the pooled crop that each pixel falls into
        return (cell_bxl[:, None] == jnp.arange(size)[:, None]) / scale

    return _rows_and_columns(weights, jax.lax.stop_gradient(center_bx2), height, width)


def mean_pyramid(images_bxhxwxc: jax.Array, scales: int) -> list[jax.Array]:
    """For each scale s = 1, 2, 4, ... the means of all windows of `s * s` pixels: (b, h + s - 1, w + s - 1, c), float32.

    Pixels beyond the image are 0. The first mean of a row covers one column of the image, at its left edge, the last one the right edge.
    """
    b, height, width, channels = images_bxhxwxc.shape
    levels = [images_bxhxwxc.astype(jnp.float32).reshape(b, height, width * channels)]  # additions along a long last axis are fast on CPUs
    for i in range(1, scales):
        half, across = 2 ** (i - 1), 2 ** (i - 1) * channels
        level = jnp.pad(levels[-1], ((0, 0), (half, half), (across, across)))
        level = level[:, :-half] + level[:, half:]
        levels.append((level[:, :, :-across] + level[:, :, across:]) / 4)
    return [level.reshape(*level.shape[:2], -1, channels) for level in levels]


def read_crops(levels: Sequence[jax.Array], center_bx2: jax.Array, size: int) -> list[jax.Array]:
    """The crops (b, s, s, c), float32, that `crop_weights` describe, one for each level of a `mean_pyramid`."""
    height, width = levels[0].shape[1:3]

    def crop(level: jax.Array, scale: int) -> jax.Array:
        x, y = (_first_pixel(center_bx2[:, axis, None], size * scale, n) for axis, n in ((0, width), (1, height)))
        (rows, row_is_inside_bxs), (columns, column_is_inside_bxs) = (
            _clip_index(first.astype(jnp.int32) + scale * jnp.arange(size) + scale - 1, n)
            for first, n in ((y, level.shape[1]), (x, level.shape[2]))
        )
        # Indexes elements of a flat image, because loops over slices take XLA several times as long on a CPU.
        index = (rows[:, :, None] * level.shape[2] + columns[:, None]).reshape(level.shape[0], -1, 1)
        values = jnp.take_along_axis(level.reshape(level.shape[0], -1, level.shape[3]), index, axis=1, mode="promise_in_bounds")
        is_inside = row_is_inside_bxs[:, :, None, None] & column_is_inside_bxs[:, None, :, None]
        return jnp.where(is_inside, values.reshape(level.shape[0], size, size, -1), 0)

    return [crop(level, 2**i) for i, level in enumerate(levels)]


def _clip_index(index: jax.Array, length: int) -> tuple[jax.Array, jax.Array]:
    """Indices clipped to [0, length), and whether they were in that range before."""
    return index.clip(0, length - 1), (index >= 0) & (index < length)


def crop_boxes(center_bx2: jax.Array, size: int, height: int, width: int) -> jax.Array:
    """Boxes (b, 4) of crops of `size` pixels a side around places; they may extend beyond [0, 1]. See `crop_weights`."""
    x_b, y_b = (_first_pixel(center_bx2[:, axis], size, length) for axis, length in ((0, width), (1, height)))
    return jnp.stack([x_b / width, y_b / height, (x_b + size) / width, (y_b + size) / height], axis=-1)


def _first_pixel(center_b: jax.Array, side: int, length: int) -> jax.Array:
    return jnp.round(center_b * length - side / 2)


def bilinear_weights(window_bx4: jax.Array, size: int, height: int, width: int) -> Weights:
    """Weights of bilinear samples at the centers of the window's `size * size` cells.

    The sampling of a spatial transformer that scales and shifts (Jaderberg et al., 2015, arXiv:1506.02025), with antialiasing: where the
    window is shrunk, the triangular filters are wider, so that no pixel is skipped.
    """

    def weights(window_bx2: jax.Array, length: int) -> jax.Array:
        center_b, side_b = window_bx2[:, 0], window_bx2[:, 1]
        positions_bxs = center_b[:, None] + ((jnp.arange(size) + 0.5) / size - 0.5) * side_b[:, None]
        distance_bxsxl = positions_bxs[:, :, None] * length - 0.5 - jnp.arange(length)
        reach_b = jnp.maximum(side_b * length / size, 1.0)[:, None, None]
        return jnp.maximum(0.0, 1.0 - jnp.abs(distance_bxsxl) / reach_b) / reach_b

    return _rows_and_columns(weights, window_bx4.astype(jnp.float32).reshape(-1, 2, 2).swapaxes(1, 2), height, width)


def gaussian_weights(window_bx4: jax.Array, std_b: jax.Array, size: int, height: int, width: int) -> Weights:
    """Weights of a grid of `size * size` Gaussian filters that spans the window, with one standard deviation in pixels.

    The attention of DRAW (Gregor et al., 2015, arXiv:1502.04623): the weights of each filter sum to 1 over the pixels of the image.
    """

    def weights(window_bx2: jax.Array, length: int) -> jax.Array:
        center_b, side_b = window_bx2[:, 0] * length, window_bx2[:, 1] * length
        stride_b = side_b / max(size - 1, 1)
        means_bxs = center_b[:, None] + (jnp.arange(size) - (size - 1) / 2) * stride_b[:, None]
        distance_bxsxl = (jnp.arange(length) + 0.5 - means_bxs[:, :, None]) / std_b[:, None, None]
        weights_bxsxl = jnp.exp(-0.5 * distance_bxsxl**2)
        return weights_bxsxl / jnp.maximum(weights_bxsxl.sum(axis=-1, keepdims=True), 1e-8)

    return _rows_and_columns(weights, window_bx4.astype(jnp.float32).reshape(-1, 2, 2).swapaxes(1, 2), height, width)


def _rows_and_columns(weights: Callable[[jax.Array, int], jax.Array], places_bx2: jax.Array, height: int, width: int) -> Weights:
    """The weights of rows, from y, and of columns, from x; x and y are at 0 and 1 of axis 1."""
    return weights(places_bx2[:, 1], height), weights(places_bx2[:, 0], width)
