"""Histograms and moments of the colors of images."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from imgloc.errors import UserError
from imgloc.types import Array

MAX_BINS = 2**20  # of a joint histogram


@partial(jax.jit, static_argnames=("bins",))
def channel_histograms(images_bxhxwxc: Array, *, bins: int = 16) -> jax.Array:
    """The share of pixels in each of `bins` equal parts of [0, 1], for each channel: (b, c, bins), float32.

    Pixels outside [0, 1] count in the first or the last part. Raises UserError for fewer than 1 bin.
    """
    parts_bxpxc = _parts(images_bxhxwxc, bins)
    b, pixels, channels = parts_bxpxc.shape
    return _shares(parts_bxpxc.swapaxes(1, 2).reshape(b * channels, pixels), bins).reshape(b, channels, bins)


@partial(jax.jit, static_argnames=("bins",))
def joint_histograms(images_bxhxwxc: Array, *, bins: int = 4) -> jax.Array:
    """The share of pixels in each of bins ** c equal parts of the color space: (b, bins, ..., bins) with an axis for each channel.

    Swain and Ballard, 1991 (doi:10.1007/BF00130487). Pixels outside [0, 1] count in the first or the last part of their channel.
    Raises UserError for fewer than 1 bin, and for more than 2 ** 20 parts.
    """
    parts_bxpxc = _parts(images_bxhxwxc, bins)
    b, _, channels = parts_bxpxc.shape
    if bins**channels > MAX_BINS:
        raise UserError(f"a joint histogram of {channels} channels with {bins} bins each has {bins**channels} parts; possible: {MAX_BINS}")
    index_bxp = jnp.zeros(parts_bxpxc.shape[:2], jnp.int32)
    for channel in range(channels):
        index_bxp = index_bxp * bins + parts_bxpxc[..., channel]
    return _shares(index_bxp, bins**channels).reshape(b, *[bins] * channels)


@jax.jit
def color_moments(images_bxhxwxc: Array) -> jax.Array:
    """Mean, standard deviation and skewness of each channel: (b, c, 3), float32. The skewness of a flat channel is 0.

    Stricker and Orengo, 1995 (doi:10.1117/12.205308); the skewness is the third standardized moment, as `scipy.stats.skew`.
    """
    images = jnp.asarray(images_bxhxwxc, jnp.float32)
    mean = images.mean(axis=(1, 2))
    centered = images - mean[:, None, None]
    variance, third = (centered**2).mean(axis=(1, 2)), (centered**3).mean(axis=(1, 2))
    varies = variance > 1e-12  # less is the rounding of a flat channel's mean
    deviation = jnp.where(varies, jnp.sqrt(jnp.where(varies, variance, 1.0)), 0.0)
    skewness = jnp.where(varies, third / jnp.where(varies, deviation, 1.0) ** 3, 0.0)
    return jnp.stack([mean, deviation, skewness], axis=-1)


def _parts(images_bxhxwxc: Array, bins: int) -> jax.Array:
    """The part of [0, 1] of each pixel, as an index: (b, h * w, c), int32."""
    if bins < 1:
        raise UserError(f"bins of color histograms must be at least 1, got {bins}")
    b, height, width, channels = images_bxhxwxc.shape
    images = jnp.asarray(images_bxhxwxc, jnp.float32).reshape(b, height * width, channels)
    return jnp.clip(jnp.floor(images * bins), 0, bins - 1).astype(jnp.int32)


def _shares(index_nxp: jax.Array, bins: int) -> jax.Array:
    counts = jnp.zeros((index_nxp.shape[0], bins), jnp.int32).at[jnp.arange(index_nxp.shape[0])[:, None], index_nxp].add(1)
    return counts / index_nxp.shape[1]
