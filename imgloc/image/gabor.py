"""Gabor filters: a wave under a Gaussian."""

from __future__ import annotations

import math

import jax
import numpy as np

from imgloc.errors import UserError
from imgloc.image.borders import Border
from imgloc.image.checks import check_number
from imgloc.image.convolution import convolve
from imgloc.types import Array, FloatArray


def gabor_kernel(
    frequency: float, theta: float = 0.0, *, bandwidth: float = 1.0, sigma_x: float | None = None, sigma_y: float | None = None,
    truncate: float = 3.0, offset: float = 0.0,
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """Returns the real and the imaginary part (n, m) of a Gabor kernel: `skimage.filters.gabor_kernel`.

    The wave has `frequency` periods a pixel along the direction `theta`, in radians from x toward y, and the phase `offset` in radians.
    The Gaussian has the standard deviations `sigma_x` along the wave and `sigma_y` across, and ends after `truncate` of them. Unless they
    are given, they follow from the bandwidth in octaves (N. Petkov and P. Kruizinga, Computational models of visual neurons, 1997).
    Raises UserError for a frequency, bandwidth or standard deviation that is not positive.
    """
    for name, number in (("frequency", frequency), ("bandwidth", bandwidth), ("truncate", truncate)):
        check_number(f"gabor.{name}", number, above=0)
    octaves = 2.0**bandwidth
    default = math.sqrt(math.log(2) / 2) / math.pi * (octaves + 1) / (octaves - 1) / frequency
    along, across = default if sigma_x is None else sigma_x, default if sigma_y is None else sigma_y
    if not min(along, across) > 0:
        raise UserError(f"gabor.sigma_x and gabor.sigma_y must be greater than 0, got {sigma_x} and {sigma_y}")
    cosine, sine = math.cos(theta), math.sin(theta)
    half_width = math.ceil(max(abs(truncate * along * cosine), abs(truncate * across * sine), 1))
    half_height = math.ceil(max(abs(truncate * across * cosine), abs(truncate * along * sine), 1))
    y, x = np.mgrid[-half_height : half_height + 1, -half_width : half_width + 1]
    u, v = x * cosine + y * sine, y * cosine - x * sine
    envelope = np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2)) / (2 * np.pi * along * across)
    phase = 2 * np.pi * frequency * u + offset
    return envelope * np.cos(phase), envelope * np.sin(phase)


def gabor(
    images_bxhxwxc: Array, frequency: float, theta: float = 0.0, *, bandwidth: float = 1.0, sigma_x: float | None = None,
    sigma_y: float | None = None, truncate: float = 3.0, offset: float = 0.0, border: Border = "reflect", value: float = 0.0,
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
    """Returns the convolutions of the images with both parts of `gabor_kernel`, each in the shape of the images: `skimage.filters.gabor`.

    The options and errors are those of `gabor_kernel` and of `convolve`.
    """
    options = {"bandwidth": bandwidth, "truncate": truncate, "offset": offset}
    real, imaginary = gabor_kernel(frequency, theta, sigma_x=sigma_x, sigma_y=sigma_y, **options)
    return convolve(images_bxhxwxc, real, border, value), convolve(images_bxhxwxc, imaginary, border, value)
