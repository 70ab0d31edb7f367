"""First and second derivatives: Sobel, Scharr, Prewitt, Laplacian, Laplacian and difference of Gaussians."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import UserError
from imgloc.image.borders import Border
from imgloc.image.checks import check_number
from imgloc.image.convolution import Axis, correlate_axis, image_axis
from imgloc.image.filters import Sigma, gaussian, gaussian_weights, per_axis
from imgloc.image.scale import as_float
from imgloc.types import Array

CENTRAL_DIFFERENCE = np.array([-1.0, 0.0, 1.0])
SOBEL = np.array([1.0, 2.0, 1.0]) / 4
SCHARR = np.array([3.0, 10.0, 3.0]) / 16
PREWITT = np.ones(3) / 3


def norm(*parts: jax.Array) -> jax.Array:
    """Returns the square root of the sum of squares, whose gradient is 0, and not NaN, where all parts are 0."""
    squares = sum((part * part for part in parts), start=jnp.zeros_like(parts[0]))
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), jnp.zeros_like(squares))


def _edges(images_bxhxwxc: Array, smoothing: Array, axis: Axis | None, border: Border, value: float) -> jax.Array:
    if axis is None:
        # The root of the mean, so that a step of height 1 that lies diagonally does not exceed 1.
        parts = (_edges(images_bxhxwxc, smoothing, each, border, value) for each in ("y", "x"))
        return norm(*parts) / math.sqrt(2)
    image_axis(axis)  # refuses other names
    # Both passes see the border of the images, as a dense kernel does. With `constant`, the smoothed border is `value` as well: the
    # weights of the smoothing sum to 1. It comes first for this reason.
    images = correlate_axis(images_bxhxwxc, smoothing, "x" if axis == "y" else "y", border, value)
    return correlate_axis(images, CENTRAL_DIFFERENCE, axis, border, value)


def sobel(images_bxhxwxc: Array, axis: Axis | None = None, *, border: Border = "reflect", value: float = 0.0) -> jax.Array:
    """Returns the magnitude of the gradient, or the derivative along an axis, by Sobel's kernel: `skimage.filters.sobel`.

    The derivative along `y` (downward) or `x` (to the right) is the difference of the two neighbors, smoothed across by (1, 2, 1) / 4: of
    a step of height 1 it is 1. The magnitude is the root of the mean of both squares. Its gradient is 0 where both derivatives are 0.
    Raises UserError for an unknown axis or border.
    """
    return _edges(images_bxhxwxc, SOBEL, axis, border, value)


def scharr(images_bxhxwxc: Array, axis: Axis | None = None, *, border: Border = "reflect", value: float = 0.0) -> jax.Array:
    """Returns what `sobel` returns with the smoothing (3, 10, 3) / 16: `skimage.filters.scharr`. Its magnitude varies less."""
    return _edges(images_bxhxwxc, SCHARR, axis, border, value)


def prewitt(images_bxhxwxc: Array, axis: Axis | None = None, *, border: Border = "reflect", value: float = 0.0) -> jax.Array:
    """Returns what `sobel` returns with the smoothing (1, 1, 1) / 3: `skimage.filters.prewitt`."""
    return _edges(images_bxhxwxc, PREWITT, axis, border, value)


def laplacian(images_bxhxwxc: Array, *, border: Border = "reflect", value: float = 0.0) -> jax.Array:
    """Returns 4 times each pixel less its four neighbors, the negative of the second derivative: `skimage.filters.laplace`."""
    weights = np.array([-1.0, 2.0, -1.0])
    return sum(
        (correlate_axis(images_bxhxwxc, weights, axis, border, value) for axis in ("y", "x")),
        start=jnp.zeros_like(as_float(images_bxhxwxc)),
    )


def laplacian_of_gaussian(
    images_bxhxwxc: Array, sigma: Sigma, *, truncate: float = 4.0, border: Border = "reflect", value: float = 0.0
) -> jax.Array:
    """Returns the sum of the second derivatives of the images smoothed by a Gaussian: `scipy.ndimage.gaussian_laplace`.

    Unlike `laplacian`, it is negative at bright spots. Raises UserError for a sigma that is not positive or an unknown border.
    """
    sigmas = per_axis("laplacian_of_gaussian.sigma", sigma)
    for each in sigmas:
        check_number("laplacian_of_gaussian.sigma", each, above=0)
    smooth, second = ([gaussian_weights(s, truncate=truncate, order=order) for s in sigmas] for order in (0, 2))
    along_y = correlate_axis(correlate_axis(images_bxhxwxc, second[0], "y", border, value), smooth[1], "x", border, value)
    along_x = correlate_axis(correlate_axis(images_bxhxwxc, smooth[0], "y", border, value), second[1], "x", border, value)
    return along_y + along_x


def difference_of_gaussians(
    images_bxhxwxc: Array, low_sigma: Sigma, high_sigma: Sigma | None = None, *, truncate: float = 4.0, border: Border = "nearest",
    value: float = 0.0,
) -> jax.Array:  # fmt: skip
    """Returns the images smoothed with `low_sigma` less those smoothed with `high_sigma`: `skimage.filters.difference_of_gaussians`.

    `high_sigma` is 1.6 times `low_sigma` unless it is given (Marr and Hildreth, Theory of edge detection, 1980).
    Raises UserError for a negative sigma, for a `high_sigma` less than `low_sigma`, and for an unknown border.
    """
    low = per_axis("difference_of_gaussians.low_sigma", low_sigma)
    high = (low[0] * 1.6, low[1] * 1.6) if high_sigma is None else per_axis("difference_of_gaussians.high_sigma", high_sigma)
    if high[0] < low[0] or high[1] < low[1]:
        raise UserError(f"difference_of_gaussians.high_sigma must be at least low_sigma {low_sigma}, got {high_sigma}")
    blurred, more = (gaussian(images_bxhxwxc, sigma, truncate=truncate, border=border, value=value) for sigma in (low, high))
    return blurred - more
