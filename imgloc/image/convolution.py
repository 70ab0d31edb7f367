"""Correlation and convolution of every channel of an image with one kernel.

A separable kernel, and a dense one of at most 64 weights, is a sum of shifted images. On a CPU (2 cores, images (16, 96, 96, 3)), nine
weights along both axes take 2 ms in this way, 104 ms with the depthwise `lax.conv_general_dilated`, and 3 ms with `imgloc.nn.conv`, which
computes sums of shifted images too. Larger dense kernels use the Fourier transform: for half of these images and 19 x 19 weights, 3 ms
instead of 124 ms. The gradient of a Gaussian of 17 x 17 weights takes 27 ms, where that of the slices takes 437 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from imgloc.errors import UserError, unknown
from imgloc.image.borders import Border, pad, pad_matrix
from imgloc.image.scale import as_float
from imgloc.types import Array

Axis = Literal["y", "x"]  # of the rows' numbers, which grow downward, and of the columns'

MOST_SHIFTS = 64  # weights of a dense kernel; beyond this, the Fourier transform is faster

Multiply = Callable[[jax.Array, Any], jax.Array]


def image_axis(axis: Axis) -> int:
    """Returns the number of an axis in (b, h, w, c). Raises UserError for an unknown axis."""
    if axis not in get_args(Axis):
        raise unknown("axis", axis, get_args(Axis))
    return 1 if axis == "y" else 2


def correlate_axis(
    images_bxhxwxc: Array, weights_n: Array, axis: Axis, border: Border = "reflect", value: float | jax.Array = 0.0, *,
    multiply: Multiply = jnp.multiply, before: int | None = None,
) -> jax.Array:  # fmt: skip
    """Returns the images with each pixel replaced by the weighted sum of the n pixels around it along an axis.

    This is `scipy.ndimage.correlate1d`: weight n // 2, or `before`, is that of the pixel itself. Pixels at equal distances whose weights
    are equal or opposite are first added or subtracted, then multiplied, in SciPy's order. `multiply` computes the products.
    """
    image_axis(axis)  # refuses other names
    size = weights_n.shape[0]
    center = size // 2 if before is None else before
    images = as_float(images_bxhxwxc)
    if isinstance(weights_n, np.ndarray) and not isinstance(value, jax.Array):
        weights = tuple(weights_n.astype(np.float64).tolist())
        return _with_constants(images, weights, axis, border, value, center, multiply)
    return _shifted_sum(images, list(jnp.asarray(weights_n, images.dtype)), axis, border, value, center, multiply)


def _shifted_sum(
    images_bxhxwxc: jax.Array, weights: Sequence[Any], axis: Axis, border: Border, value: float | jax.Array, center: int, multiply: Multiply
) -> jax.Array:
    size, channels = len(weights), images_bxhxwxc.shape[-1]
    pads, shape = (center, size - 1 - center), images_bxhxwxc.shape
    padded = pad(images_bxhxwxc, pads if axis == "y" else (0, 0), pads if axis == "x" else (0, 0), border, value)
    # Columns and channels as one axis: loops over a last axis of three channels are not vectorized.
    merged = padded.reshape(*padded.shape[:2], -1)
    number, stride, length = (1, 1, shape[1]) if axis == "y" else (2, channels, shape[2] * channels)

    def at(i: int) -> jax.Array:
        return lax.slice_in_dim(merged, i * stride, i * stride + length, axis=number)

    for sign in (1, -1):
        mirrored = tuple(sign * weight for weight in reversed(weights)) if isinstance(weights, tuple) else None
        if mirrored == weights and size % 2 and center == size // 2:
            total = multiply(at(center), weights[center]) if weights[center] else jnp.zeros_like(at(center))
            for i in range(center):
                total = total + multiply(at(i) + at(size - 1 - i) if sign == 1 else at(i) - at(size - 1 - i), weights[i])
            return total.reshape(shape)
    return sum((multiply(at(i), w) for i, w in enumerate(weights)), start=jnp.zeros_like(at(0))).reshape(shape)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3, 4, 5, 6))
def _with_constants(
    images_bxhxwxc: jax.Array,
    weights: tuple[float, ...],
    axis: Axis,
    border: Border,
    value: float | jax.Array,
    center: int,
    multiply: Multiply,
) -> jax.Array:
    return _shifted_sum(images_bxhxwxc, weights, axis, border, value, center, multiply)


@_with_constants.defjvp
def _with_constants_jvp(
    weights: tuple[float, ...], axis: Axis, border: Border, value: float | jax.Array, center: int, multiply: Multiply,
    images: tuple[jax.Array], tangents: tuple[jax.Array],
) -> tuple[jax.Array, jax.Array]:  # fmt: skip
    """Tangents by the product with the matrix of the correlation. Compilers make slow code of the derivative of many slices."""
    length = images[0].shape[image_axis(axis)]
    shifted = pad_matrix(length, (center, len(weights) - 1 - center), border)
    matrix = sum((w * shifted[i : i + length] for i, w in enumerate(weights)), start=np.zeros((length, length)))
    product = "bhwc,ih->biwc" if axis == "y" else "bhwc,iw->bhic"
    result = _with_constants(images[0], weights, axis, border, value, center, multiply)
    return result, jnp.einsum(product, tangents[0], matrix.astype(result.dtype), precision="highest")


def correlate_separable(
    images_bxhxwxc: Array, rows_n: Array, columns_m: Array, border: Border = "reflect", value: float = 0.0, *,
    multiply: Multiply = jnp.multiply,
) -> jax.Array:  # fmt: skip
    """Returns the correlation with the kernel `rows_n[:, None] * columns_m`, computed along the rows' axis and then the columns'.

    Beyond the border, the second axis sees `value` itself, as in SciPy, and not `value` times the sum of the first weights.
    """
    images = correlate_axis(images_bxhxwxc, rows_n, "y", border, value, multiply=multiply)
    return correlate_axis(images, columns_m, "x", border, value, multiply=multiply)


def correlate(images_bxhxwxc: Array, kernel_nxm: Array, border: Border = "reflect", value: float = 0.0) -> jax.Array:
    """Returns the correlation of each channel with a kernel (n, m), in the shape of the images: `scipy.ndimage.correlate`.

    The weight at (n // 2, m // 2) is that of the pixel itself. The kernel may be traced, and has a gradient then.
    Raises UserError for a kernel that does not have two axes, and for an unknown border.
    """
    return _correlate(images_bxhxwxc, kernel_nxm, border, value, flipped=False)


def convolve(images_bxhxwxc: Array, kernel_nxm: Array, border: Border = "reflect", value: float = 0.0) -> jax.Array:
    """Returns the convolution of each channel with a kernel (n, m), in the shape of the images: `scipy.ndimage.convolve`.

    It is the correlation with the kernel rotated by 180 degrees about (n // 2, m // 2). Errors are those of `correlate`.
    """
    return _correlate(images_bxhxwxc, kernel_nxm, border, value, flipped=True)


def _correlate(images_bxhxwxc: Array, kernel_nxm: Array, border: Border, value: float, *, flipped: bool) -> jax.Array:
    if kernel_nxm.ndim != 2 or 0 in kernel_nxm.shape:
        raise UserError(f"a kernel must have two axes and at least one weight, got the shape {tuple(kernel_nxm.shape)}")
    images = as_float(images_bxhxwxc)
    kernel = (kernel_nxm[::-1, ::-1] if flipped else kernel_nxm).astype(images.dtype)
    (n, m), (height, width) = kernel.shape, images.shape[1:3]
    top, left = ((n - 1) // 2, (m - 1) // 2) if flipped else (n // 2, m // 2)
    padded = pad(images, (top, n - 1 - top), (left, m - 1 - left), border, value)
    if n * m > MOST_SHIFTS:
        return _correlate_spectra(padded, jnp.asarray(kernel))[:, :height, :width]
    shifted = (kernel[i, j] * padded[:, i : i + height, j : j + width] for i in range(n) for j in range(m))
    return sum(shifted, start=jnp.zeros_like(images))


def _correlate_spectra(padded_bxhxwxc: jax.Array, kernel_nxm: jax.Array) -> jax.Array:
    """The sums that start at each pixel; those that would reach beyond the padded image wrap around."""
    size = padded_bxhxwxc.shape[1:3]
    spectra = jnp.fft.rfft2(padded_bxhxwxc, axes=(1, 2)) * jnp.conj(jnp.fft.rfft2(kernel_nxm, s=size))[None, :, :, None]
    return jnp.fft.irfft2(spectra, s=size, axes=(1, 2))
