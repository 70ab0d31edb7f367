"""Conversions between RGB, HSV, CIE L*a*b* and YCbCr, with the definitions of `skimage.color`.

RGB values are in [0, 1] and encoded (sRGB). All conversions have finite gradients everywhere: where a definition has none or an infinite
one, at gray and black, the docstring names the value that is used.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.image.scale import as_float
from imgloc.types import Array, FloatArray

#: Linear RGB to CIE XYZ (IEC 61966-2-1, D65), with the digits of scikit-image.
XYZ_FROM_RGB = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
#: The XYZ of white: illuminant D65 and the CIE 1931 2 degree standard observer.
WHITE = np.array([0.95047, 1.0, 1.08883])
#: ITU-R BT.601: Y in [16, 235], Cb and Cr in [16, 240].
YCBCR_FROM_RGB = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
YCBCR_OF_BLACK = np.array([16.0, 128.0, 128.0])


def rgb_to_hsv(images_bxhxwx3: Array) -> jax.Array:
    """Returns hue, saturation and value, each in [0, 1]: `skimage.color.rgb2hsv`.

    Gray pixels have the hue 0 and the saturation 0, and neither has a gradient there; the value has one, spread over the largest
    channels. Raises UserError unless images have 3 channels.
    """
    images = as_float(images_bxhxwx3, channels=3)
    red, green, blue = jnp.moveaxis(images, -1, 0)
    value = jnp.max(images, axis=-1)
    delta = value - jnp.min(images, axis=-1)
    gray = delta == 0
    divisor = jnp.where(gray, 1, delta)
    saturation = jnp.where(gray, 0, delta / jnp.where(gray | (value == 0), 1, value))
    # The last channel that equals the largest one decides, as in scikit-image.
    sixth = jnp.where(
        blue == value, 4 + (red - green) / divisor,
        jnp.where(green == value, 2 + (blue - red) / divisor, (green - blue) / divisor),
    )  # fmt: skip
    hue = jnp.where(gray, 0, (sixth / 6) % 1)
    return jnp.stack([hue, saturation, value], axis=-1)


def hsv_to_rgb(images_bxhxwx3: Array) -> jax.Array:
    """Returns RGB of hue, saturation and value: `skimage.color.hsv2rgb`. A hue outside [0, 1) is that of its fractional part.

    Raises UserError unless images have 3 channels.
    """
    hue, saturation, value = jnp.moveaxis(as_float(images_bxhxwx3, channels=3), -1, 0)
    sector = jnp.floor(hue * 6)
    part = hue * 6 - sector
    low, falling, rising = value * (1 - saturation), value * (1 - part * saturation), value * (1 - (1 - part) * saturation)
    sector = (sector % 6).astype(int)[..., None]
    channels = [
        (value, rising, low), (falling, value, low), (low, value, rising),
        (low, falling, value), (rising, low, value), (value, low, falling),
    ]  # fmt: skip
    result = jnp.stack(channels[0], axis=-1)
    for index, each in enumerate(channels[1:], start=1):
        result = jnp.where(sector == index, jnp.stack(each, axis=-1), result)
    return result


def rgb_to_lab(images_bxhxwx3: Array) -> jax.Array:
    """Returns CIE L*a*b* for D65 and the 2 degree observer: `skimage.color.rgb2lab`. L* is in [0, 100]; a* and b* are 0 at gray, nearly.

    Raises UserError unless images have 3 channels.
    """
    images = as_float(images_bxhxwx3, channels=3)
    encoded = images > 0.04045
    linear = jnp.where(encoded, _power((jnp.where(encoded, images, 1) + 0.055) / 1.055, 2.4), images / 12.92)
    relative = _transform(linear, XYZ_FROM_RGB / WHITE[:, None])
    large = relative > 0.008856
    x, y, z = jnp.moveaxis(jnp.where(large, _power(jnp.where(large, relative, 1), 1 / 3), 7.787 * relative + 16 / 116), -1, 0)
    return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _power(positive: jax.Array, exponent: float) -> jax.Array:
    """Powers of numbers above 0. XLA computes exponentials and logarithms of whole vectors on CPUs, but powers and roots one by one."""
    return jnp.exp(exponent * jnp.log(positive))


def lab_to_rgb(images_bxhxwx3: Array) -> jax.Array:
    """Returns RGB in [0, 1] of CIE L*a*b*: `skimage.color.lab2rgb`. Colors outside of sRGB are clipped, and have no gradient there.

    Raises UserError unless images have 3 channels.
    """
    lightness, a, b = jnp.moveaxis(as_float(images_bxhxwx3, channels=3), -1, 0)
    y = (lightness + 16) / 116
    roots = jnp.stack([y + a / 500, y, jnp.maximum(y - b / 200, 0)], axis=-1)
    relative = jnp.where(roots > 0.2068966, roots**3, (roots - 16 / 116) / 7.787)
    linear = _transform(relative, np.linalg.inv(XYZ_FROM_RGB) * WHITE)
    bright = linear > 0.0031308
    encoded = jnp.where(bright, 1.055 * _power(jnp.where(bright, linear, 1), 1 / 2.4) - 0.055, linear * 12.92)
    return jnp.clip(encoded, 0, 1)


def rgb_to_ycbcr(images_bxhxwx3: Array) -> jax.Array:
    """Returns Y in [16, 235], and Cb and Cr in [16, 240]: `skimage.color.rgb2ycbcr`. Raises UserError unless images have 3 channels."""
    return _transform(as_float(images_bxhxwx3, channels=3), YCBCR_FROM_RGB) + YCBCR_OF_BLACK


def ycbcr_to_rgb(images_bxhxwx3: Array) -> jax.Array:
    """Returns RGB of YCbCr, not clipped: `skimage.color.ycbcr2rgb`. Raises UserError unless images have 3 channels."""
    return _transform(as_float(images_bxhxwx3, channels=3) - YCBCR_OF_BLACK, np.linalg.inv(YCBCR_FROM_RGB))


def _transform(images_bxhxwx3: jax.Array, matrix_3x3: FloatArray) -> jax.Array:
    """A matrix times each pixel, as sums: accelerators may multiply matrices with reduced precision."""
    first, second, third = (images_bxhxwx3[..., i, None] * matrix_3x3[:, i].astype(images_bxhxwx3.dtype) for i in range(3))
    return first + second + third
