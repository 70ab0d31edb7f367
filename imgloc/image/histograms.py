"""Histograms of images, exact and differentiable, and changes of contrast and color balance that follow from them."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from imgloc.errors import UserError
from imgloc.image.scale import as_float
from imgloc.types import Array


class Histogram(NamedTuple):
    """The number of pixels in each bin, and the value at the center of the bin."""

    counts_bxn: jax.Array  # int32
    centers_bxn: jax.Array


def histogram(images_bxhxwxc: Array, *, bins: int = 256, levels: int | None = None) -> Histogram:
    """Returns the histogram of each image, over all its channels: `skimage.exposure.histogram`.

    Bins of equal width lie between the smallest and the largest value of an image; those of a constant image reach from 0.5 below to 0.5
    above it. Where `levels` is given, images hold integers divided by `levels - 1`, such as 256 levels for 8 bits, and each integer has
    its own bin, as for the integer images of scikit-image, which leaves out empty bins at the ends.
    Raises UserError for fewer than 1 bin or 2 levels.
    """
    images = as_float(images_bxhxwxc)
    flat = images.reshape(images.shape[0], -1)
    if levels is not None:
        if levels < 2:
            raise UserError(f"levels must be at least 2, got {levels}")
        centers = jnp.broadcast_to(jnp.arange(levels, dtype=flat.dtype) / (levels - 1), (flat.shape[0], levels))
        return Histogram(tally(_level(flat, levels), levels), centers)
    if bins < 1:
        raise UserError(f"bins must be at least 1, got {bins}")
    low, high = _range(flat)
    steps = jnp.arange(bins + 1, dtype=flat.dtype)
    edges = low + _rounded(steps * divided(high - low, bins))
    edges = edges.at[:, -1].set(high[:, 0])
    # The quotient may be off by one bin at an edge.
    index = jnp.clip(((flat - low) / (high - low) * bins).astype(int), 0, bins - 1)
    index = index - (flat < jnp.take_along_axis(edges, index, axis=1))
    index = index + ((flat >= jnp.take_along_axis(edges, index + 1, axis=1)) & (index != bins - 1))
    return Histogram(tally(index, bins), (edges[:, :-1] + edges[:, 1:]) / 2)


def _level(values: jax.Array, levels: int) -> jax.Array:
    return jnp.clip(jnp.round(values * (levels - 1)).astype(int), 0, levels - 1)


def _range(flat_bxn: jax.Array) -> tuple[jax.Array, jax.Array]:
    low, high = jnp.min(flat_bxn, axis=1, keepdims=True), jnp.max(flat_bxn, axis=1, keepdims=True)
    constant = low == high
    return jnp.where(constant, low - 0.5, low), jnp.where(constant, high + 0.5, high)


def tally(index_bxn: jax.Array, bins: int) -> jax.Array:
    """Returns how often each number from 0 to `bins` - 1 occurs in each row, int32 (b, bins). Other numbers are not allowed."""
    (batch, length), parts = index_bxn.shape, 4
    # Indices along one axis, which are not compared with its length and are computed before the loop that adds. Neighbors are counted
    # apart: they are often equal, and an addition waits for the one before it at the same place.
    row, part = jnp.arange(batch)[:, None], jnp.arange(length) % parts
    places: jax.Array = lax.optimization_barrier((index_bxn + bins * (parts * row + part)).reshape(-1))
    counts = jnp.zeros(batch * parts * bins, jnp.int32).at[places].add(1, mode="promise_in_bounds")
    return counts.reshape(batch, parts, bins).sum(axis=1)


def divided(numbers: jax.Array, divisor: jax.Array | float) -> jax.Array:
    """Returns the correctly rounded quotient. Compilers multiply by the reciprocal of a number that divides a whole array."""
    divisors: jax.Array = lax.optimization_barrier(jnp.broadcast_to(jnp.asarray(divisor, numbers.dtype), numbers.shape))
    return numbers / divisors


def _rounded(product: jax.Array) -> jax.Array:
    """The product, rounded before it is added to something: compilers else fuse both to one instruction, which rounds once."""
    limit = float(np.finfo(product.dtype).max)
    return jnp.clip(product, -limit, limit)


def soft_histogram(images_bxhxwxc: Array, *, bins: int = 256, low: float = 0.0, high: float = 1.0) -> jax.Array:
    """Returns a differentiable histogram (b, n) of each image, over all its channels; it sums to the number of values.

    Bin k has its center at c_k = low + (k + 1/2) (high - low) / bins. A value x adds `max(0, 1 - |x - c_k| bins / (high - low))` to each
    bin: its weight is shared by the two nearest centers in proportion to its distance from the other. A value at a center counts for its
    bin alone. Values below the first and above the last center count for that bin, and have no gradient.
    Raises UserError for fewer than 1 bin and an empty range.
    """
    if bins < 1:
        raise UserError(f"bins must be at least 1, got {bins}")
    if not low < high:
        raise UserError(f"the range of a histogram must have low < high, got low {low} and high {high}")
    images = as_float(images_bxhxwxc)
    flat = images.reshape(images.shape[0], -1)
    place = jnp.clip((flat - low) * (bins / (high - low)) - 0.5, 0, bins - 1)
    index = jnp.minimum(jnp.floor(place).astype(int), max(bins - 2, 0))
    share, rows = place - index, jnp.arange(flat.shape[0])[:, None]
    return jnp.zeros((flat.shape[0], bins), flat.dtype).at[rows, index].add(1 - share).at[rows, jnp.minimum(index + 1, bins - 1)].add(share)


def equalize(images_bxhxwxc: Array, *, bins: int = 256, levels: int | None = None) -> jax.Array:
    """Returns images with an almost uniform histogram in [0, 1]: `skimage.exposure.equalize_hist`.

    The value of a pixel is the share of values of its image, over all channels, that are not above it, interpolated between the
    centers of bins. `bins`, `levels` and errors are those of `histogram`. The counts have no gradient; the interpolation has one.
    """
    images = as_float(images_bxhxwxc)
    counts, centers = histogram(images, bins=bins, levels=levels)
    shares = jnp.cumsum(counts, axis=1) / (images.size // images.shape[0])
    return _interpolated(images.reshape(images.shape[0], -1), centers, shares.astype(images.dtype)).reshape(images.shape)


def _interpolated(values_bxm: jax.Array, centers_bxn: jax.Array, heights_bxn: jax.Array) -> jax.Array:
    """The piecewise linear functions through heights at equally spaced centers, constant beyond the first and the last one.

    `jnp.interp` searches the place of each value among the centers, which takes ten times as long.
    """
    last = centers_bxn.shape[1] - 1
    if not last:
        return jnp.broadcast_to(heights_bxn, values_bxm.shape)
    low, high = centers_bxn[:, :1], centers_bxn[:, -1:]
    place = jnp.clip((values_bxm - low) / (high - low) * last, 0, last)
    index = jnp.minimum(place.astype(int), last - 1)
    left, right = (jnp.take_along_axis(heights_bxn, index + step, axis=1) for step in (0, 1))
    return left + (place - index) * (right - left)


def rescale(
    images_bxhxwxc: Array, low: float | Array | None = None, high: float | Array | None = None, *, to: tuple[float, float] = (0.0, 1.0)
) -> jax.Array:
    """Returns images whose values [low, high] are stretched to the range `to`, and values beyond are clipped.

    This is `skimage.exposure.rescale_intensity`. `low` and `high` are numbers, or one for each image (b,); those that are not given are
    the smallest and largest value of each image. Where both are equal, values are only clipped, first to them and then to `to`.
    """
    images = as_float(images_bxhxwxc)
    low_b = jnp.min(images, axis=(1, 2, 3)) if low is None else jnp.asarray(low, images.dtype)
    high_b = jnp.max(images, axis=(1, 2, 3)) if high is None else jnp.asarray(high, images.dtype)
    low_bx1, high_bx1 = (jnp.broadcast_to(each, images.shape[:1])[:, None, None, None] for each in (low_b, high_b))
    clipped = jnp.clip(images, low_bx1, high_bx1)
    flat = low_bx1 == high_bx1
    stretched = divided(clipped - low_bx1, jnp.where(flat, 1, high_bx1 - low_bx1)) * (to[1] - to[0]) + to[0]
    return jnp.where(flat, jnp.clip(clipped, *to), stretched)


def stretch_contrast(images_bxhxwxc: Array, lower: float = 2.0, upper: float = 98.0) -> jax.Array:
    """Returns images stretched to [0, 1] between two percentiles of the values of each image, over all its channels, and clipped.

    Percentiles are those of `numpy.percentile`, linear between values. Raises UserError unless 0 <= lower < upper <= 100.
    """
    if not 0 <= lower < upper <= 100:
        raise UserError(f"percentiles must satisfy 0 <= lower < upper <= 100, got lower {lower} and upper {upper}")
    images = as_float(images_bxhxwxc)
    low, high = jnp.percentile(images.reshape(images.shape[0], -1), jnp.array([lower, upper], images.dtype), axis=1)
    return rescale(images, low, high)


def adjust_gamma(images_bxhxwxc: Array, gamma: float = 1.0, gain: float = 1.0) -> jax.Array:
    """Returns gain * images ** gamma: `skimage.exposure.adjust_gamma`. Negative values, which scikit-image refuses, count as 0.

    The gradient at 0 is 0, also where the power has an infinite slope there (gamma < 1). Raises UserError for a negative gamma.
    """
    if gamma < 0:
        raise UserError(f"gamma must be at least 0, got {gamma}")
    images = as_float(images_bxhxwxc)
    positive = images > 0
    return gain * jnp.where(positive, jnp.where(positive, images, 1) ** gamma, float(gamma == 0))


def gray_world(images_bxhxwxc: Array) -> jax.Array:
    """Returns images whose channels have equal means: value * (mean of the image) / (mean of the channel), clipped to [0, 1].

    The mean of the image is over all channels, so the mean brightness is kept but for clipping. A channel of zeros stays so.
    Source: Buchsbaum, "A spatial processor model for object colour perception", 1980.
    """
    images = as_float(images_bxhxwxc)
    means = jnp.mean(images, axis=(1, 2), keepdims=True)
    return _balanced(images, jnp.mean(means, axis=3, keepdims=True), means)


def white_patch(images_bxhxwxc: Array, percentile: float = 100.0) -> jax.Array:
    """Returns images whose channels reach white: value / (percentile of the channel), clipped to [0, 1].

    The 100th percentile is the maximum (Land, "The retinex theory of color vision", 1977); a smaller one ignores a few bright pixels.
    A channel of zeros stays so. Raises UserError for a percentile outside (0, 100].
    """
    if not 0 < percentile <= 100:
        raise UserError(f"white_patch.percentile must be greater than 0 and at most 100, got {percentile}")
    images = as_float(images_bxhxwxc)
    return _balanced(images, jnp.ones((), images.dtype), jnp.percentile(images, percentile, axis=(1, 2), keepdims=True))


def _balanced(images: jax.Array, target: jax.Array, current: jax.Array) -> jax.Array:
    return jnp.clip(images * jnp.where(current > 0, target / jnp.where(current > 0, current, 1), 1), 0, 1)
