"""The structure tensor of images of one channel, and the corner response of Harris."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.image.borders import Border
from imgloc.image.convolution import correlate_axis
from imgloc.image.filters import Sigma, gaussian
from imgloc.image.gradients import CENTRAL_DIFFERENCE, SOBEL, norm
from imgloc.image.scale import single_channel
from imgloc.types import Array


def structure_tensor(
    images_bxhxwx1: Array, sigma: Sigma = 1.0, *, border: Border = "constant", value: float = 0.0
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns the entries yy, yx and xx of the structure tensor, each (b, h, w, 1): `skimage.feature.structure_tensor`.

    They are the products of the derivatives along y and x, averaged by a Gaussian with `sigma` pixels. The derivatives are those of
    `scipy.ndimage.sobel`, 4 times those of `sobel`. Raises UserError for images of several channels, a negative sigma or an unknown border.
    """
    images = single_channel("structure_tensor", images_bxhxwx1)
    by_y = correlate_axis(correlate_axis(images, CENTRAL_DIFFERENCE, "y", border, value), 4 * SOBEL, "x", border, value)
    by_x = correlate_axis(correlate_axis(images, CENTRAL_DIFFERENCE, "x", border, value), 4 * SOBEL, "y", border, value)
    yy, yx, xx = (gaussian(p, sigma, border=border, value=value) for p in (by_y * by_y, by_y * by_x, by_x * by_x))
    return yy, yx, xx


def eigenvalues(yy: jax.Array, yx: jax.Array, xx: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the larger and the smaller eigenvalue of symmetric matrices of 2 x 2: `skimage.feature.structure_tensor_eigenvalues`.

    The gradient is finite everywhere. Where both eigenvalues are equal, it is that of their mean.
    """
    mean, half_distance = (yy + xx) / 2, norm((yy - xx) / 2, yx)
    return mean + half_distance, mean - half_distance


def harris(images_bxhxwx1: Array, sigma: Sigma = 1.0, *, k: float = 0.05) -> jax.Array:
    """Returns the corner response (b, h, w, 1), the determinant of the structure tensor less k times its squared trace.

    It is `skimage.feature.corner_harris`, with zeros beyond the border (C. Harris and M. Stephens, A combined corner and edge detector,
    1988). It is positive at corners and negative at edges. Errors are those of `structure_tensor`.
    """
    yy, yx, xx = structure_tensor(images_bxhxwx1, sigma)
    trace = yy + xx
    return yy * xx - yx * yx - jnp.asarray(k, trace.dtype) * trace * trace
