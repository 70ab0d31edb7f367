"""Sums over rectangles: integral images, and sums and variances of sliding windows."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from imgloc.errors import UserError
from imgloc.image.scale import as_float
from imgloc.types import Array


def integral_image(images_bxhxwxc: Array) -> jax.Array:
    """Returns the sum of the pixels above and to the left of each pixel, itself included: `skimage.transform.integral_image`.

    It has the shape of the images. Its values are rounded in proportion to the sum of the whole image: in float32 a difference of two of
    them is off by up to some 1e-7 of that sum, which `window_sums` avoids.
    """
    return jnp.cumsum(jnp.cumsum(as_float(images_bxhxwxc), axis=1), axis=2)


def box_sums(integral_bxhxwxc: Array, boxes_bxnx4: Array) -> jax.Array:
    """Returns the sums (b, n, c) of the pixels in boxes, from an integral image.

    A pixel that a box covers in part counts with the covered share of its area, so the sums have a gradient with respect to the boxes.
    Where the edges of boxes lie between pixels, this is `skimage.transform.integrate`. Parts outside the image count as 0. A box whose
    x1 is less than x0 counts with the opposite sign, and likewise for y.
    """
    if not jnp.issubdtype(integral_bxhxwxc.dtype, jnp.floating):
        raise UserError(f"an integral image must have floating-point numbers, got {integral_bxhxwxc.dtype}; compute it with integral_image")
    integral, boxes = as_float(integral_bxhxwxc), jnp.asarray(boxes_bxnx4)
    if boxes.ndim != 3 or boxes.shape[-1] != 4 or boxes.shape[0] != integral.shape[0]:
        raise UserError(f"boxes must have the shape ({integral.shape[0]}, n, 4), got {tuple(boxes.shape)}")
    height, width = integral.shape[1:3]
    padded = jnp.pad(integral, ((0, 0), (1, 0), (1, 0), (0, 0)))
    x0, y0, x1, y1 = jnp.moveaxis(boxes.astype(integral.dtype), -1, 0)

    def until(x_bxn: jax.Array, y_bxn: jax.Array) -> jax.Array:
        """The sum above and to the left of a corner: bilinear, because the sum is so within a pixel."""
        (left, right_share), (top, bottom_share) = _split(x_bxn, width), _split(y_bxn, height)

        def at(row: jax.Array, column: jax.Array) -> jax.Array:
            return padded[jnp.arange(padded.shape[0])[:, None], row, column]

        upper = at(top, left) * (1 - right_share) + at(top, left + 1) * right_share
        lower = at(top + 1, left) * (1 - right_share) + at(top + 1, left + 1) * right_share
        return upper * (1 - bottom_share) + lower * bottom_share

    return until(x1, y1) - until(x0, y1) - until(x1, y0) + until(x0, y0)


def _split(edges: jax.Array, length: int) -> tuple[jax.Array, jax.Array]:
    """The index of the pixel that holds an edge in [0, 1] of `length` pixels, and the covered share of that pixel, (b, n, 1)."""
    places = jnp.clip(edges, 0, 1) * length
    # Coordinates k / length are stored rounded; the product has the error of two roundings.
    nearest = jnp.round(places)
    places = jnp.where(
        jnp.abs(places - nearest) <= 2 * float(np.finfo(places.dtype).eps) * nearest, places + lax.stop_gradient(nearest - places), places
    )
    index = jnp.minimum(jnp.floor(places).astype(int), length - 1)
    return index, (places - index)[..., None]


class Moments(NamedTuple):
    """Of each window: the mean, and the sum of the squared differences from it."""

    mean: jax.Array
    scatter: jax.Array


def window_sums(images_bxhxwxc: Array, height: int, width: int) -> jax.Array:
    """Returns the sums of all windows inside the images, (b, h - height + 1, w - width + 1, c).

    Sums of pairs, fours, eights and so on are added, so that rounding errors are relative to the sum of the window, unlike differences
    of an integral image. Raises UserError for a window larger than the images.
    """
    images = as_float(images_bxhxwxc)
    _check_window(images, height, width)
    for axis, size in ((1, height), (2, width)):
        images = _slide(images, axis, size)
    return images


def window_moments(images_bxhxwxc: Array, height: int, width: int) -> Moments:
    """Returns the means and scatters of all windows inside the images, (b, h - height + 1, w - width + 1, c).

    The moments of neighboring windows are merged (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing
    sample variances", 1979), so that the scatter of a window with almost equal values is precise too, unlike the difference of the
    mean square and the squared mean. Raises UserError for a window larger than the images.
    """
    images = as_float(images_bxhxwxc)
    _check_window(images, height, width)
    moments, count = Moments(images, jnp.zeros_like(images)), 1
    for axis, size in ((1, height), (2, width)):
        moments, count = _slide_moments(moments, count, axis, size), count * size
    return moments


def merge(one: Moments, one_count: int, other: Moments, other_count: int) -> Moments:
    """Returns the moments of the union of two disjoint sets of values."""
    count = one_count + other_count
    difference = other.mean - one.mean
    scatter = one.scatter + other.scatter + difference * difference * (one_count * other_count / count)
    return Moments(one.mean + difference * (other_count / count), scatter)


def _check_window(images: jax.Array, height: int, width: int) -> None:
    if not (1 <= height <= images.shape[1] and 1 <= width <= images.shape[2]):
        raise UserError(f"a window must be at most as large as the images, {images.shape[1]} x {images.shape[2]}, got {height} x {width}")


def _slide(images: jax.Array, axis: int, size: int) -> jax.Array:
    length = images.shape[axis] - size + 1
    total, power, size_power, offset = None, images, 1, 0
    while True:
        if size & size_power:
            part = lax.slice_in_dim(power, offset, offset + length, axis=axis)
            total, offset = part if total is None else total + part, offset + size_power
        if 2 * size_power > size:
            return power if total is None else total
        n = power.shape[axis] - size_power
        power = lax.slice_in_dim(power, 0, n, axis=axis) + lax.slice_in_dim(power, size_power, size_power + n, axis=axis)
        size_power *= 2


def _slide_moments(moments: Moments, pixels: int, axis: int, size: int) -> Moments:
    length = moments.mean.shape[axis] - size + 1

    def part(of: Moments, start: int, n: int) -> Moments:
        return Moments(*(lax.slice_in_dim(each, start, start + n, axis=axis) for each in of))

    total, power, size_power, offset = None, moments, 1, 0
    while True:
        if size & size_power:
            own = part(power, offset, length)
            total = own if total is None else merge(total, offset * pixels, own, size_power * pixels)
            offset += size_power
        if 2 * size_power > size:
            assert total is not None
            return total
        n = power.mean.shape[axis] - size_power
        power = merge(part(power, 0, n), size_power * pixels, part(power, size_power, n), size_power * pixels)
        size_power *= 2
