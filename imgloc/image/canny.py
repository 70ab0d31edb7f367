"""Canny's edge detector."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from imgloc.errors import UserError
from imgloc.image.borders import Border
from imgloc.image.checks import check_number
from imgloc.image.convolution import correlate_axis
from imgloc.image.filters import Number, Sigma, gaussian
from imgloc.image.gradients import CENTRAL_DIFFERENCE, SOBEL
from imgloc.image.scale import single_channel
from imgloc.types import Array


def canny(
    images_bxhxwx1: Array, sigma: Sigma = 1.0, *, low: Number = 0.1, high: Number = 0.2, quantiles: bool = False,
    mask_bxhxwx1: Array | None = None, border: Border = "constant", value: float = 0.0,
) -> jax.Array:  # fmt: skip
    """Returns where the edges of images of one channel are, (b, h, w, 1) booleans: `skimage.feature.canny`.

    Images are smoothed by a Gaussian with `sigma` pixels, whose border is `border`. Edges are local maxima of the magnitude of Sobel's
    gradient across the edge, where it is at least `low`, that are connected to one of at least `high` (J. Canny, A computational approach
    to edge detection, 1986). The thresholds are in units of images converted with `as_float`, for derivatives that are 4 times those of
    `sobel`; with `quantiles` they are quantiles of the magnitudes of an image. Pixels outside the mask, their neighbors and the border are
    no edges. Under `jax_enable_x64`, every sum is rounded as in scikit-image, and the result has equal bits. In float32, a pixel can differ
    where a comparison is a tie: 2 of 4 million pixels of four photographs of 8 bits with five sets of options, but some of the edges
    of drawn shapes, where both sides of a step are equal. The result has no gradient.
    Raises UserError for images of several channels, thresholds that are negative, not in order or, as quantiles, above 1, and a mask of
    another shape.
    """
    check_number("canny.low", low, least=0)
    check_number("canny.high", high, least=low)
    if quantiles:
        check_number("canny.high with quantiles", high, most=1)
    images = single_channel("canny", images_bxhxwx1)
    if mask_bxhxwx1 is not None and mask_bxhxwx1.shape != images.shape:
        raise UserError(f"canny.mask must have the shape of the images {images.shape}, got {tuple(mask_bxhxwx1.shape)}")
    mask = jnp.ones(images.shape, bool) if mask_bxhxwx1 is None else jnp.asarray(mask_bxhxwx1, bool)
    smooth = gaussian(jnp.where(mask, images, 0), sigma, border=border, value=value, multiply=rounded_product)
    if mask_bxhxwx1 is not None or border == "constant":
        # What the zeros outside have taken away is given back.
        share = gaussian(mask.astype(images.dtype), sigma, border=border, value=value, multiply=rounded_product)
        smooth = smooth / (share + np.finfo(images.dtype).eps)
    by_x = correlate_axis(correlate_axis(smooth, CENTRAL_DIFFERENCE, "x"), 4 * SOBEL, "y")
    by_y = correlate_axis(correlate_axis(smooth, CENTRAL_DIFFERENCE, "y"), 4 * SOBEL, "x")
    magnitude = jnp.sqrt(rounded_product(by_y, by_y) + rounded_product(by_x, by_x))
    low_b, high_b = (_quantile(magnitude, q) if quantiles else jnp.asarray(q, magnitude.dtype) for q in (low, high))
    # scikit-image passes this threshold on in single precision; 1e-14 leaves out pixels without a gradient.
    low_b = jnp.where(low_b == 0, 1e-14, low_b).astype(jnp.float32).astype(magnitude.dtype)
    candidates = _is_maximum(by_y, by_x, magnitude) & (magnitude >= low_b) & _erode(mask)
    return hysteresis(candidates, candidates & (magnitude >= high_b))


def hysteresis(weak_bxhxwxc: Array, strong_bxhxwxc: Array) -> jax.Array:
    """Returns the weak pixels that a path of weak neighbors, diagonal ones included, connects to a strong one: booleans (b, h, w, c).

    The strong pixels grow downward and then upward, row by row, until no image changes. 32 pixels of a row are
    the bits of one number, which is filled at once, so time grows with the turns of a path between downward and upward, and with the
    numbers that it crosses within a row.
    """
    weak = jnp.asarray(weak_bxhxwxc, bool)
    open_hxbxcxn, marked = (_packed(each) for each in (weak, weak & jnp.asarray(strong_bxhxwxc, bool)))

    def step(above: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        filled = _filled(row[0] & (row[1] | _widened(above)), row[0])
        return filled, filled

    def grow(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        grown = state[0]
        for reverse in (False, True):
            grown = lax.scan(step, jnp.zeros_like(grown[0]), (open_hxbxcxn, grown), reverse=reverse)[1]
        return grown, jnp.any(grown != state[0])

    marked = lax.while_loop(lambda state: state[1], grow, (marked, jnp.array(True)))[0]
    bits = (marked[..., None] >> np.arange(32, dtype=np.uint32)) & 1
    return jnp.moveaxis(bits.reshape(*marked.shape[:-1], -1), (0, 2), (1, 3))[:, :, : weak.shape[2]].astype(bool)


def _packed(mask_bxhxwxc: jax.Array) -> jax.Array:
    """Rows (h, b, c, n) of numbers of 32 bits: bit i of number k is pixel 32 k + i, and zero beyond the row."""
    rows = jnp.pad(jnp.moveaxis(mask_bxhxwxc, (1, 3), (0, 2)), ((0, 0), (0, 0), (0, 0), (0, -mask_bxhxwxc.shape[2] % 32)))
    bits = rows.reshape(*rows.shape[:-1], -1, 32).astype(jnp.uint32) << np.arange(32, dtype=np.uint32)
    return jnp.sum(bits, axis=-1, dtype=jnp.uint32)


def _widened(rows: jax.Array) -> jax.Array:
    """The pixels of packed rows, and their neighbors to the left and right."""
    from_left = jnp.pad(rows[..., :-1] >> 31, ((0, 0),) * (rows.ndim - 1) + ((1, 0),))
    from_right = jnp.pad(rows[..., 1:] << 31, ((0, 0),) * (rows.ndim - 1) + ((0, 1),))
    return rows | (rows << 1) | from_left | (rows >> 1) | from_right


def _filled(marked: jax.Array, within: jax.Array) -> jax.Array:
    """The marked pixels and those that a run of pixels `within` the same number, or one across its ends, connects to them."""
    marked = within & _widened(marked)
    left = right = within
    for shift in (1, 2, 4, 8, 16):
        marked = marked | (left & (marked << shift)) | (right & (marked >> shift))
        left, right = left & (left << shift), right & (right >> shift)
    return marked


def rounded_product(a: Any, b: Any) -> jax.Array:
    """Returns the product, rounded before it is added to something. Compilers else fuse both to one instruction, which rounds once."""
    product = jnp.multiply(a, b)
    limit = float(np.finfo(product.dtype).max)
    return jnp.clip(product, -limit, limit)


def _quantile(values_bxhxwx1: jax.Array, quantile: Any) -> jax.Array:
    """The quantile of each image, (b, 1, 1, 1), interpolated with the roundings of `numpy.percentile`."""
    ordered = jnp.sort(values_bxhxwx1.reshape(values_bxhxwx1.shape[0], -1), axis=1)
    position = jnp.asarray(100.0 * quantile / 100.0, ordered.dtype) * (ordered.shape[1] - 1)
    index = jnp.floor(position).astype(int)
    below, above = ordered[:, index], ordered[:, jnp.minimum(index + 1, ordered.shape[1] - 1)]
    part, difference = position - jnp.floor(position), above - below
    between = jnp.where(part < 0.5, below + rounded_product(difference, part), above - rounded_product(difference, 1 - part))
    return between[:, None, None, None]


def _shifted(images_bxhxwx1: jax.Array, down: int, right: int, beyond: Any) -> jax.Array:
    """At each pixel, the value `down` rows below and `right` columns to the right."""
    _, height, width, _ = images_bxhxwx1.shape
    padded = jnp.pad(images_bxhxwx1, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=beyond)
    return padded[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]


def _erode(mask_bxhxwxc: jax.Array, *, beyond: bool = False) -> jax.Array:
    """Where all of the 3 x 3 pixels are true."""
    rows = mask_bxhxwxc & _shifted(mask_bxhxwxc, -1, 0, beyond) & _shifted(mask_bxhxwxc, 1, 0, beyond)
    return rows & _shifted(rows, 0, -1, beyond) & _shifted(rows, 0, 1, beyond)


def _is_maximum(by_y: jax.Array, by_x: jax.Array, magnitude: jax.Array) -> jax.Array:
    """Where the magnitude is not exceeded on either side in the direction of the gradient, interpolated between two neighbors."""
    steep = jnp.abs(by_y) > jnp.abs(by_x)
    larger = jnp.maximum(jnp.abs(by_y), jnp.abs(by_x))
    part = jnp.minimum(jnp.abs(by_y), jnp.abs(by_x)) / jnp.where(larger > 0, larger, 1)  # of the diagonal neighbor
    falling = (by_y > 0) == (by_x > 0)  # the gradient points down and to the right, or the opposite way

    near = {(i, j): _shifted(magnitude, i, j, 0) for i, j in itertools.product((-1, 0, 1), repeat=2)}
    maximum = jnp.ones(magnitude.shape, bool)
    for side in (1, -1):
        diagonal = jnp.where(falling, near[side, side], jnp.where(steep, near[side, -side], near[-side, side]))
        straight = jnp.where(steep, near[side, 0], near[0, side])
        maximum &= rounded_product(diagonal, part) + rounded_product(straight, 1 - part) <= magnitude
    return maximum
