"""Saliency of image regions without training."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import UserError
from imgloc.image.borders import pad
from imgloc.image.integral import window_sums
from imgloc.image.luma import BT601
from imgloc.image.resample import along, gaussian_matrix, resize
from imgloc.image.scale import as_gray
from imgloc.types import Array


def spectral_residual(images_bxhxwxc: Array, *, size: int = 64, sigma: float = 2.5, floor: float = 1e-7) -> jax.Array:
    """Returns the saliency (b, h, w) of each pixel, at least 0, with the maximum 1, by the spectral residual.

    Source: Hou and Zhang, "Saliency detection: a spectral residual approach", CVPR 2007. The gray image is resized to a width of `size`
    pixels. Of its Fourier transform F, the mean of `log|F|` over 3 x 3 frequencies is subtracted from it, and the phase is kept. The
    squared absolute value of the inverse transform, smoothed by a Gaussian with `sigma` pixels, is the saliency, which is resized to the
    image and divided by its maximum. The paper states a sigma of 8 pixels; the authors' published program uses 2.5, the default here.
    `|F|` is `sqrt(|F|^2 + f^2)` with f = `floor` for each pixel, so that frequencies that an image does not have, such as all but one of a
    constant image, do not add noise, and gradients are finite. The default lies above rounding errors; drawn images need a higher floor.
    A constant image has the saliency 0 where its transform is exact.
    Images have 1 channel, or 3, of which the luma of BT.601 is computed, as by the program's `rgb2gray`. Raises
    UserError for other numbers, a size below 3, a negative sigma or a floor that is not above 0.
    """
    images = as_gray(images_bxhxwxc, BT601)
    if size < 3:
        raise UserError(f"spectral_residual.size must be at least 3, got {size}")
    if sigma < 0:
        raise UserError(f"spectral_residual.sigma must be at least 0, got {sigma}")
    if not floor > 0:
        raise UserError(f"spectral_residual.floor must be above 0, got {floor}")
    height, width = images.shape[1:3]
    small = resize(images, max(round(height * size / width), 1), size)
    raw = _residual_energy(small, floor * small.shape[1] * small.shape[2])
    for axis in (1, 2):
        raw = along(gaussian_matrix(raw.shape[axis], sigma, "nearest"), raw, axis)
    saliency = resize(raw, height, width, antialias=False)[..., 0]
    return saliency / jnp.maximum(jnp.max(saliency, axis=(1, 2), keepdims=True), float(np.finfo(images.dtype).tiny))


def _residual_energy(images_bxhxwx1: jax.Array, floor: float) -> jax.Array:
    spectrum = jnp.fft.fft2(images_bxhxwx1, axes=(1, 2))
    log_amplitude = 0.5 * jnp.log(spectrum.real**2 + spectrum.imag**2 + floor**2)
    # exp(log|F| - mean) with the phase of F is F exp(-mean).
    mean = window_sums(pad(log_amplitude, (1, 1), (1, 1), "nearest"), 3, 3) / 9
    transformed = jnp.fft.ifft2(spectrum * jnp.exp(-mean), axes=(1, 2))
    return transformed.real**2 + transformed.imag**2
