"""Thresholds of images: one for each image, and one for each pixel."""

from __future__ import annotations

from typing import Literal, get_args

import jax
import jax.numpy as jnp

from imgloc.errors import UserError, unknown
from imgloc.image.borders import Border, pad
from imgloc.image.checks import check_window
from imgloc.image.histograms import histogram
from imgloc.image.integral import window_moments, window_sums
from imgloc.image.resample import along, check_border, gaussian_matrix
from imgloc.image.scale import as_float
from imgloc.types import Array

LocalMethod = Literal["mean", "gaussian"]


def otsu(images_bxhxwxc: Array, *, bins: int = 256, levels: int | None = None) -> jax.Array:
    """Returns the threshold of each image, (b, 1, 1, 1): `skimage.filters.threshold_otsu`. Pixels above it are the foreground.

    It is the center of a bin of the histogram over all channels, the first one that maximizes the variance between the pixels up to it
    and the pixels above it (Otsu, 1979). `levels` counts integers instead, as scikit-image does for images of integers; `bins`,
    `levels` and errors are those of `histogram`. The threshold of a constant image is its value. Variances are compared in the precision
    of the images: of two bins whose variances differ by less than some 1e-6, float32 may choose the other one.
    """
    images = as_float(images_bxhxwxc)
    counts, centers = histogram(images, bins=bins, levels=levels)
    if counts.shape[1] < 2:
        return centers[:, :1, None, None]
    # Exact integers: the number of pixels up to each bin, and the sum of their bins' numbers, counted from the mean to keep it small.
    number = jnp.arange(counts.shape[1], dtype=jnp.int32)
    pixels = counts.sum(axis=1, keepdims=True)
    weighted = counts.astype(images.dtype) * number
    middle = jnp.round(weighted.sum(axis=1, keepdims=True) / pixels).astype(jnp.int32)
    below, moment = jnp.cumsum(counts, axis=1)[:, :-1], jnp.cumsum(counts * (number - middle), axis=1)
    above, total = pixels - below, moment[:, -1:]
    lower = moment[:, :-1].astype(images.dtype) / jnp.maximum(below, 1)
    upper = (total - moment[:, :-1]).astype(images.dtype) / jnp.maximum(above, 1)
    variance = below.astype(images.dtype) * above.astype(images.dtype) * (upper - lower) ** 2
    index = jnp.argmax(jnp.where((below > 0) & (above > 0), variance, -1), axis=1)[:, None]
    threshold = jnp.take_along_axis(centers, index, axis=1)[:, :, None, None]
    constant = (counts.max(axis=1, keepdims=True) == pixels)[:, :, None, None]  # both ends of the range are in bins of their own
    return jnp.where(constant, images[:, :1, :1, :1], threshold)


def local(
    images_bxhxwxc: Array, size: int, *, method: LocalMethod = "gaussian", offset: float = 0.0, sigma: float | None = None,
    border: Border = "reflect",
) -> jax.Array:  # fmt: skip
    """Returns a threshold for each pixel, in the shape of the images: `skimage.filters.threshold_local`.

    It is the mean of the window of `size` x `size` pixels around the pixel, or the Gaussian mean with `sigma` pixels, by default
    (size - 1) / 6, less `offset`. Each channel is treated alone.
    Raises UserError for an even size or one below 1, an unknown method, a negative sigma, and a `constant` or unknown border.
    """
    images = as_float(images_bxhxwxc)
    check_window("local.size", size, odd=True)
    check_border(border)
    if method not in get_args(LocalMethod):
        raise unknown("method", method, get_args(LocalMethod))
    if sigma is not None and sigma < 0:
        raise UserError(f"sigma must be at least 0, got {sigma}")
    if method == "mean":
        reach = (size // 2, size // 2)
        return window_sums(pad(images, reach, reach, border), size, size) / size**2 - offset
    for axis in (1, 2):
        images = along(gaussian_matrix(images.shape[axis], (size - 1) / 6 if sigma is None else sigma, border), images, axis)
    return images - offset


def niblack(images_bxhxwxc: Array, size: int = 15, k: float = 0.2) -> jax.Array:
    """Returns the mean less `k` standard deviations of the window of `size` x `size` pixels around each pixel.

    This is `skimage.filters.threshold_niblack`, with the border `mirror`. Source: Niblack, "An introduction to digital image processing",
    1986. Each channel is treated alone. Raises UserError for an even size or one below 1.
    """
    mean, deviation = _mean_and_deviation("niblack", images_bxhxwxc, size)
    return mean - k * deviation


def sauvola(images_bxhxwxc: Array, size: int = 15, k: float = 0.2, r: float = 1.0) -> jax.Array:
    """Returns mean * (1 + k * (deviation / r - 1)) over the window of `size` x `size` pixels around each pixel.

    This is `skimage.filters.threshold_sauvola`, with the border `mirror`; `r` is the largest possible standard deviation, for which
    scikit-image uses 1 for floating-point images. Source: Sauvola and Pietikainen, "Adaptive document image binarization", 2000.
    Each channel is treated alone. Raises UserError for an even size or one below 1, and for an `r` of at most 0.
    """
    if not r > 0:
        raise UserError(f"sauvola.r must be greater than 0, got {r}")
    mean, deviation = _mean_and_deviation("sauvola", images_bxhxwxc, size)
    return mean * (1 + k * (deviation / r - 1))


def _mean_and_deviation(name: str, images_bxhxwxc: Array, size: int) -> tuple[jax.Array, jax.Array]:
    check_window(f"{name}.size", size, odd=True)
    reach = (size // 2, size // 2)
    mean, scatter = window_moments(pad(as_float(images_bxhxwxc), reach, reach, "mirror"), size, size)
    # The square root has no finite slope at 0; a window without differences gets the gradient 0.
    positive = scatter > 0
    return mean, jnp.where(positive, jnp.sqrt(jnp.where(positive, scatter, 1) / size**2), 0)
