"""Resizing of images, with the definitions of `skimage.transform.resize`.

Resizing and Gaussian smoothing along an axis are linear. Each is a matrix here that is computed once for a size, in double precision, and
applied as a product, which accelerators compute fast and which has a gradient.
"""

from __future__ import annotations

from functools import cache
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from imgloc.errors import UserError, unknown
from imgloc.image.borders import NUMPY_MODES, Border
from imgloc.image.filters import gaussian_weights
from imgloc.image.scale import as_float
from imgloc.types import Array, FloatArray, IntArray

BORDERS = tuple(border for border in get_args(Border) if border != "constant")


def resize(
    images_bxhxwxc: Array, height: int, width: int, *, order: int = 1, antialias: bool = True, border: Border = "mirror", clip: bool = True
) -> jax.Array:
    """Returns images (b, height, width, c), with the edges of both images in the same place: `skimage.transform.resize`.

    `order` is that of the spline between pixels: 0 takes the nearest one, 1 is linear, 3 cubic. With `antialias`, axes that shrink by a
    factor f are first smoothed by a Gaussian with (f - 1) / 2 pixels. A cubic spline may exceed the values of the image; with `clip` it
    is limited to them. The default border is called `reflect` in scikit-image and `mirror` here and in SciPy.
    Raises UserError for a size below 1, other orders, a `constant` or unknown border, and order 3 with `nearest`.
    """
    images = as_float(images_bxhxwxc)
    if height < 1 or width < 1:
        raise UserError(f"resize needs a height and width of at least 1, got {height} x {width}")
    if order not in (0, 1, 3):
        raise UserError(f"resize.order must be 0, 1 or 3, got {order!r}")
    check_border(border)
    if order == 3 and border == "nearest":
        raise UserError("cubic splines have no coefficients for the border nearest; use mirror, reflect or wrap")
    result = images
    for axis, new in ((1, height), (2, width)):  # both axes are linear, so their order is free
        old = images.shape[axis]
        if order == 0 and not (antialias and new < old):
            result = jnp.take(result, nearest(old, new, border), axis=axis)
        elif new != old:
            result = along(_resizing_matrix(old, new, order, antialias, border), result, axis)
    if not clip:
        return result
    axes = (1, 2, 3)
    return jnp.clip(result, jnp.min(images, axis=axes, keepdims=True), jnp.max(images, axis=axes, keepdims=True))


@cache
def _resizing_matrix(old: int, new: int, order: int, antialias: bool, border: Border) -> FloatArray:
    """The matrix (new, old) that smooths an axis, if it shrinks and with `antialias`, and takes the values of the spline."""
    matrix = np.eye(old)[nearest(old, new, border)] if order == 0 else spline_matrix(old, new, order, border)
    if antialias and new < old:
        matrix = matrix @ gaussian_matrix(old, (old / new - 1) / 2, border)
    matrix.setflags(write=False)
    return matrix


def check_border(border: Border) -> None:
    """Raises UserError for a border that does not repeat pixels of the image, and for an unknown one."""
    if border not in BORDERS:
        raise unknown("border", border, BORDERS)


def along(matrix_mxn: FloatArray, images_bxhxwxc: jax.Array, axis: int) -> jax.Array:
    """Returns images whose rows' axis (1) or columns' axis (2) is multiplied by a matrix, in full precision on every device."""
    matrix = jnp.asarray(matrix_mxn, images_bxhxwxc.dtype)
    equation = "mh,bhwc->bmwc" if axis == 1 else "mw,bhwc->bhmc"
    return jnp.einsum(equation, matrix, images_bxhxwxc, precision=lax.Precision.HIGHEST)


def _inside(places: IntArray, length: int, border: Border) -> IntArray:
    """The indices of the pixels that stand at places beyond the border."""
    before, after = max(0, -int(places.min())), max(0, int(places.max()) - length + 1)
    extended: IntArray = np.pad(np.arange(length), (before, after), mode=NUMPY_MODES[border])  # type: ignore[call-overload]
    return extended[places + before]


def _centers(old: int, new: int) -> FloatArray:
    """The places of new pixels, in old ones."""
    centers: FloatArray = (np.arange(new) + 0.5) * (old / new) - 0.5
    return centers


def nearest(old: int, new: int, border: Border) -> IntArray:
    """Returns the index of the old pixel that is nearest to each new one; halves are rounded up."""
    return _inside(np.floor(_centers(old, new) + 0.5).astype(np.int64), old, border)


@cache
def gaussian_matrix(length: int, sigma: float, border: Border, truncate: float = 4.0) -> FloatArray:
    """Returns the matrix (n, n) of `scipy.ndimage.gaussian_filter1d`, whose weights end at `truncate` standard deviations."""
    weights = np.asarray(gaussian_weights(sigma, truncate=truncate))
    places = np.arange(length)[:, None] + np.arange(len(weights)) - len(weights) // 2
    return _scattered(places, np.broadcast_to(weights, places.shape), length, border)


@cache
def spline_matrix(old: int, new: int, order: int, border: Border) -> FloatArray:
    """Returns the matrix (new, old) of the spline of order 1 or 3 through the old pixels.

    A cubic spline is a sum of B-splines whose coefficients solve the equations that it passes through the pixels, with the border's
    extension ("Splines: a perfect fit for signal and image processing", IEEE Signal Processing Magazine, 1999). Between images of one
    channel this is SciPy's; scikit-image also filters along the channels, where SciPy is off by 1e-4 with the border `reflect`.
    """
    at_new = _basis(_centers(old, new), old, order, border)
    return at_new if order == 1 else np.linalg.solve(_basis(np.arange(old, dtype=float), old, order, border).T, at_new.T).T


def _basis(places_m: FloatArray, length: int, order: int, border: Border) -> FloatArray:
    """The values (m, n) of the B-splines at the pixels, at places."""
    taps = np.floor(places_m).astype(np.int64)[:, None] + np.arange(-(order // 2), order // 2 + 2)
    distance = np.abs(places_m[:, None] - taps)
    if order == 1:
        values = np.maximum(0, 1 - distance)
    else:
        values = np.where(distance < 1, 2 / 3 - distance**2 + distance**3 / 2, np.maximum(0, 2 - distance) ** 3 / 6)
    return _scattered(taps, values, length, border)


def _scattered(places_mxk: IntArray, weights_mxk: FloatArray, length: int, border: Border) -> FloatArray:
    """The matrix (m, n) that gives the pixel at each place its weight."""
    matrix = np.zeros((len(places_mxk), length))
    np.add.at(matrix, (np.arange(len(places_mxk))[:, None], _inside(places_mxk, length, border)), weights_mxk)
    matrix.setflags(write=False)
    return matrix
