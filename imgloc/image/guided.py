"""The guided filter: in each window, a linear function of a guide."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import UserError
from imgloc.image.checks import check_number, check_window
from imgloc.image.convolution import correlate_separable
from imgloc.image.scale import as_float
from imgloc.types import Array


def guided(images_bxhxwxc: Array, guide_bxhxwxg: Array, radius: int, epsilon: float) -> jax.Array:
    """Returns images filtered with the edges of a guide of one or more channels (K. He, J. Sun and X. Tang, Guided image filtering, 2010).

    In every window of 2 * radius + 1 pixels, the images are approximated by a linear function of the guide's channels with the penalty
    `epsilon` on the squared slopes; a pixel is the mean of the functions of its windows (equations 8 to 11, and 14 to 16 for several
    channels). Windows end at the border. `epsilon` is in squared units of the guide and may be traced.
    Raises UserError for a guide of other height or width, a radius below 1 and an `epsilon` that is not positive.
    """
    check_window("guided.radius", radius)
    check_number("guided.epsilon", epsilon, above=0)
    images, guide = as_float(images_bxhxwxc), as_float(guide_bxhxwxg)
    if images.shape[:3] != guide.shape[:3]:
        raise UserError(f"guided.guide must have the size of the images {images.shape[:3]}, got {guide.shape[:3]}")
    ones = np.ones(2 * radius + 1)
    count = correlate_separable(jnp.ones_like(images[:1, :, :, :1]), ones, ones, "constant")

    def mean(values: jax.Array) -> jax.Array:
        return correlate_separable(values, ones, ones, "constant") / count

    # The result does not change with an offset of the guide or the images, and covariances have smaller rounding errors without one.
    offset = jnp.mean(images, axis=(1, 2), keepdims=True)
    images, guide = images - offset, guide - jnp.mean(guide, axis=(1, 2), keepdims=True)
    channels = guide.shape[3]
    mean_image, mean_guide = mean(images), mean(guide)
    cross = _outer(guide, images)
    covariance = mean(cross) - _outer(mean_guide, mean_image)
    variance = mean(_outer(guide, guide)) - _outer(mean_guide, mean_guide)
    matrices = variance.reshape(*variance.shape[:3], channels, channels) + epsilon * jnp.eye(channels, dtype=guide.dtype)
    slopes = _solve(matrices, covariance.reshape(*covariance.shape[:3], channels, -1))
    intercepts = mean_image - jnp.sum(slopes * mean_guide[..., None], axis=3)
    mean_slopes = mean(slopes.reshape(covariance.shape)).reshape(slopes.shape)
    return jnp.sum(mean_slopes * guide[..., None], axis=3) + mean(intercepts) + offset


def _outer(first_bxhxwxg: jax.Array, second_bxhxwxc: jax.Array) -> jax.Array:
    """Products of all pairs of channels, (b, h, w, g * c)."""
    products = first_bxhxwxg[..., :, None] * second_bxhxwxc[..., None, :]
    return products.reshape(*products.shape[:3], -1)


def _solve(matrices_gxg: jax.Array, right_gxc: jax.Array) -> jax.Array:
    """Solutions for positive definite matrices by elimination: elementwise, where libraries call a routine for each pixel."""
    size = matrices_gxg.shape[-1]
    rows = [jnp.concatenate([matrices_gxg[..., i, :], right_gxc[..., i, :]], axis=-1) for i in range(size)]
    for i in range(size):
        rows[i] = rows[i] / rows[i][..., i : i + 1]
        rows = [row if j == i else row - row[..., i : i + 1] * rows[i] for j, row in enumerate(rows)]
    return jnp.stack([row[..., size:] for row in rows], axis=-2)
