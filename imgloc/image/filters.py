"""Smoothing and sharpening: Gaussian, box, median, unsharp mask."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import UserError
from imgloc.image.borders import Border, pad
from imgloc.image.checks import check_number, check_window
from imgloc.image.convolution import Multiply, correlate_axis, correlate_separable
from imgloc.image.scale import as_float
from imgloc.types import Array, FloatArray

Number = float | jax.Array
Sigma = Number | tuple[Number, Number]  # a standard deviation in pixels, or those along y and x


def per_axis(name: str, sigma: Sigma) -> tuple[Number, Number]:
    """Returns the standard deviations along y and x. Raises UserError, which names the option, for negative numbers."""
    sigmas = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    if len(sigmas) != 2:
        raise UserError(f"{name} must be a number or two numbers (y, x), got {sigma}")
    for each in sigmas:
        check_number(name, each, least=0)
    return sigmas


def gaussian_weights(sigma: Number, *, truncate: float = 4.0, order: int = 0, radius: int | None = None) -> Array:
    """Returns the weights (2 * radius + 1,) of a Gaussian, which sum to 1, or of its first or second derivative, for `correlate_axis`.

    The radius is `truncate` standard deviations, rounded to the nearest pixel, unless it is given; sigma may be a traced number then.
    These are the weights of `scipy.ndimage.gaussian_filter`; a sigma of 0 gives the single weight 1.
    """
    if isinstance(sigma, jax.Array):
        if radius is None:
            raise UserError("gaussian needs radius where sigma is an array: the number of weights does not depend on its value")
        x = jnp.arange(-radius, radius + 1, dtype=sigma.dtype)
        factors: tuple[float | jax.Array, ...] = (1.0, x / sigma**2, x**2 / sigma**4 - 1 / sigma**2)
        return jax.nn.softmax(-0.5 * (x / sigma) ** 2) * factors[order]
    if sigma <= 1e-15:
        return np.full(1, float(order == 0))
    radius = int(truncate * sigma + 0.5) if radius is None else radius
    offsets, variance = np.arange(-radius, radius + 1), float(sigma) * float(sigma)
    density = np.exp(-0.5 / variance * offsets**2)
    derivatives = np.ones_like(density), offsets / variance, offsets**2 / variance**2 - 1 / variance
    weights: FloatArray = density / density.sum() * derivatives[order]
    return weights


def gaussian(
    images_bxhxwxc: Array, sigma: Sigma = 1.0, *, truncate: float = 4.0, border: Border = "nearest", value: float = 0.0,
    radius: int | None = None, multiply: Multiply = jnp.multiply,
) -> jax.Array:  # fmt: skip
    """Returns images smoothed by a Gaussian with `sigma` pixels, or (y, x) pixels: `skimage.filters.gaussian`.

    Weights beyond `truncate` standard deviations, or beyond `radius` pixels, are left out. Where `radius` is given, sigma may be traced,
    and has a gradient. `multiply` is that of `correlate_axis`. Raises UserError for a negative sigma, and for an unknown border.
    """
    check_number("gaussian.truncate", truncate, above=0)
    rows, columns = (gaussian_weights(s, truncate=truncate, radius=radius) for s in per_axis("gaussian.sigma", sigma))
    return correlate_separable(images_bxhxwxc, rows, columns, border, value, multiply=multiply)


def box(images_bxhxwxc: Array, size: int | tuple[int, int], *, border: Border = "reflect", value: float = 0.0) -> jax.Array:
    """Returns the mean of the window of `size` pixels, or (height, width), around each pixel: `scipy.ndimage.uniform_filter`.

    An even window has one pixel more above and to the left of its pixel. Raises UserError for a size below 1 or an unknown border.
    """
    height, width = size if isinstance(size, tuple) else (size, size)
    check_window("box.size", height)
    check_window("box.size", width)
    images = correlate_axis(images_bxhxwxc, np.full(height, 1 / height), "y", border, value)
    return correlate_axis(images, np.full(width, 1 / width), "x", border, value)


def windows(images_bxhxwxc: jax.Array, size: int, border: Border, value: float) -> list[jax.Array]:
    """Returns the size * size shifted images that hold the pixels of each pixel's window, row by row."""
    above, (height, width) = size // 2, images_bxhxwxc.shape[1:3]
    padded = pad(images_bxhxwxc, (above, size - 1 - above), (above, size - 1 - above), border, value)
    return [padded[:, i : i + height, j : j + width] for i, j in itertools.product(range(size), repeat=2)]


def median(images_bxhxwxc: Array, size: int = 3, *, border: Border = "nearest", value: float = 0.0) -> jax.Array:
    """Returns the median of the square window around each pixel, with equal bits to `skimage.filters.median` and `scipy.ndimage`'s.

    Of an even number of pixels, the upper of the two in the middle is returned, as in SciPy. The gradient goes to the pixel that is the
    median, in equal parts where several are; `imgloc.image.soft.soft_median` has one for all pixels.
    The pixels are selected by a network of minima and maxima (K. E. Batcher: Sorting networks and their applications, AFIPS 1968):
    for 5 x 5 windows in images (4, 96, 96, 3) on a CPU, 4 ms where sorting takes 283 ms.
    Raises UserError for a size below 1 or an unknown border.
    """
    check_window("median.size", size)
    pixels = windows(as_float(images_bxhxwxc), size, border, value)
    return _middle(pixels)


@jax.custom_jvp
def _middle(arrays: list[jax.Array]) -> jax.Array:
    """The median of the arrays at each place."""
    ordered, middle = list(arrays), len(arrays) // 2
    for low, high in selection_network(len(ordered), middle):
        ordered[low], ordered[high] = jnp.minimum(ordered[low], ordered[high]), jnp.maximum(ordered[low], ordered[high])
    return ordered[middle]


@_middle.defjvp
def _middle_jvp(arrays: tuple[list[jax.Array]], tangents: tuple[list[jax.Array]]) -> tuple[jax.Array, jax.Array]:
    """The mean of the tangents of the arrays that are the median. That of the network is 12 times as slow."""
    median = _middle(arrays[0])
    selected = [(array == median).astype(median.dtype) for array in arrays[0]]
    none = jnp.zeros_like(median)
    return median, sum((s * t for s, t in zip(selected, tangents[0], strict=True)), start=none) / sum(selected, start=none)


@cache
def selection_network(count: int, rank: int) -> tuple[tuple[int, int], ...]:
    """Returns the pairs (low, high) of positions to be exchanged where out of order, so that position `rank` of `count` is in order.

    It is Batcher's odd-even merge sort (Knuth, The Art of Computer Programming 3, 5.3.4) without the pairs that `rank` does not need.
    """
    needed, kept = {rank}, []
    for pair in reversed(list(_odd_even_merge_sort(count))):
        if needed & set(pair):
            needed |= set(pair)
            kept.append(pair)
    return tuple(reversed(kept))


def _odd_even_merge_sort(count: int) -> Iterator[tuple[int, int]]:
    block = 1  # length of the sorted blocks, of which two are merged
    while block < count:
        gap = block
        while gap >= 1:
            for start in range(gap % block, count - gap, 2 * gap):
                for low in range(start, min(start + gap, count - gap)):
                    if low // (2 * block) == (low + gap) // (2 * block):
                        yield low, low + gap
            gap //= 2
        block *= 2


def unsharp_mask(images_bxhxwxc: Array, radius: Sigma = 1.0, amount: float = 1.0, *, clip: bool = True) -> jax.Array:
    """Returns images with `amount` times their difference from their Gaussian blur added: `skimage.filters.unsharp_mask`.

    `radius` is the sigma of the Gaussian. With `clip`, values are limited to [0, 1], or to [-1, 1] in an image that has a negative value;
    the gradient is 0 where they are limited. Raises UserError for a negative radius.
    """
    images = as_float(images_bxhxwxc)
    per_axis("unsharp_mask.radius", radius)
    sharp = images + (images - gaussian(images, radius, border="reflect")) * amount
    if not clip:
        return sharp
    lowest = jnp.where(jnp.any(images < 0, axis=(1, 2, 3), keepdims=True), -1.0, 0.0)
    return jnp.clip(sharp, lowest.astype(sharp.dtype), 1.0)
