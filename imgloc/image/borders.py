"""Pixels beyond the border of an image, in the terms of `scipy.ndimage` and scikit-image."""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import unknown
from imgloc.types import Array, FloatArray

Border = Literal["reflect", "mirror", "nearest", "wrap", "constant"]

# The same extensions in the terms of `numpy.pad`.
NUMPY_MODES: dict[Border, str] = {
    "reflect": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "constant",
}  # fmt: skip

Widths = tuple[int, int]


def pad(images_bxhxwxc: Array, rows: Widths, columns: Widths, border: Border = "reflect", value: float | jax.Array = 0.0) -> jax.Array:
    """The images with pixels added above and below (`rows`) and left and right (`columns`).

    `border` extends a row of pixels `a b c d` as follows: `reflect` to `b a | a b c d | d c`, `mirror` to `c b | a b c d | c b`, `nearest`
    to `a a | a b c d | d d`, `wrap` to `c d | a b c d | a b`, and `constant` to `value`. Pads may exceed the size of the image.
    Raises UserError for an unknown border.
    """
    if border not in NUMPY_MODES:
        raise unknown("border", border, get_args(Border))
    images = jnp.asarray(images_bxhxwxc)
    if not jnp.issubdtype(images.dtype, jnp.floating):
        constant = {"constant_values": value} if border == "constant" else {}
        return jnp.pad(images, ((0, 0), rows, columns, (0, 0)), mode=NUMPY_MODES[border], **constant)
    padded = _pad(images, rows, columns, border)
    if border != "constant":
        return padded
    inside = np.pad(np.ones((1, *images.shape[1:3], 1), bool), ((0, 0), rows, columns, (0, 0)))
    return jnp.where(inside, padded, jnp.asarray(value, padded.dtype))


def pad_matrix(size: int, widths: Widths, border: Border) -> FloatArray:
    """Returns the matrix (before + size + after, size) of zeros and ones whose product with a row of pixels is the row with its pads."""
    return np.pad(np.eye(size), (widths, (0, 0)), mode=NUMPY_MODES[border])  # type: ignore[call-overload,no-any-return]


@partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def _pad(images_bxhxwxc: jax.Array, rows: Widths, columns: Widths, border: Border) -> jax.Array:
    return jnp.pad(images_bxhxwxc, ((0, 0), rows, columns, (0, 0)), mode=NUMPY_MODES[border])


@_pad.defjvp
def _pad_tangents(
    rows: Widths, columns: Widths, border: Border, images: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Tangents by products with matrices of zeros and ones.

    The compiler repeats the work that precedes the derivative of `jnp.pad` for every piece of it: through it, the gradient of a Gaussian
    of 17 x 17 pixels took 437 ms on a CPU for images (16, 96, 96, 3), and takes 59 ms in this way.
    """
    padded = tangents[0]
    for widths, axes, size in ((rows, "bhwc,ih->biwc", padded.shape[1]), (columns, "bhwc,iw->bhic", padded.shape[2])):
        if widths != (0, 0):
            padded = jnp.einsum(axes, padded, pad_matrix(size, widths, border).astype(padded.dtype), precision="highest")
    return _pad(images[0], rows, columns, border), padded
