"""Morphology of gray and binary images: erosions, dilations and their combinations, with the definitions of `skimage.morphology`.

Images (b, h, w, c) are numbers, which `scale.as_float` converts, or booleans, which stay booleans; each channel is treated alone. A
footprint is an array (n, m) of zeros and ones, such as `square(3)`, `disk(2)` or `cross(1)`; without one it is `cross(1)`. Where a side is
even, its middle pixel is the one before the center. Options: `border` is that of `borders.pad`, or `ignore`, which leaves pixels beyond
the border out; `value` fills a `constant` border. All operations raise UserError for a footprint without ones, and for an unknown border.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax

from imgloc.errors import UserError, unknown
from imgloc.image.borders import Border, pad
from imgloc.image.scale import as_float
from imgloc.types import Array, BoolArray

Footprint = npt.NDArray[Any]
MorphologyBorder = Border | Literal["ignore"]
BORDERS = (*get_args(Border), "ignore")
Extremum = Callable[[jax.Array, jax.Array], jax.Array]


def square(side: int) -> BoolArray:
    """Returns a footprint of ones (side, side)."""
    return np.ones((_positive("side", side),) * 2, bool)


def disk(radius: int) -> BoolArray:
    """Returns the footprint of the pixels whose distance from the center is at most `radius`, (2 radius + 1, 2 radius + 1)."""
    y, x = np.ogrid[-radius : _positive("radius", radius) + 1, -radius : radius + 1]
    return np.asarray(x**2 + y**2 <= radius**2)


def cross(radius: int) -> BoolArray:
    """Returns the footprint of the row and the column through the center, (2 radius + 1, 2 radius + 1)."""
    footprint = np.zeros((2 * _positive("radius", radius) + 1,) * 2, bool)
    footprint[radius] = footprint[:, radius] = True
    return footprint


def erosion(
    images_bxhxwxc: Array, footprint: Footprint | None = None, *, border: MorphologyBorder = "reflect", value: float = 0.0
) -> jax.Array:
    """Returns the minimum over the footprint around each pixel: `skimage.morphology.erosion`."""
    return _extreme(images_bxhxwxc, _odd(footprint), border, value, smallest=True)


def dilation(
    images_bxhxwxc: Array, footprint: Footprint | None = None, *, border: MorphologyBorder = "reflect", value: float = 0.0
) -> jax.Array:
    """Returns the maximum over the footprint around each pixel: `skimage.morphology.dilation`. The footprint is not mirrored."""
    return _extreme(images_bxhxwxc, _odd(footprint), border, value, smallest=False)


def opening(
    images_bxhxwxc: Array, footprint: Footprint | None = None, *, border: MorphologyBorder = "reflect", value: float = 0.0
) -> jax.Array:
    """Returns the erosion, dilated with the mirrored footprint, which removes bright spots: `skimage.morphology.opening`."""
    odd = _odd(footprint)
    return dilation(erosion(images_bxhxwxc, odd, border=border, value=value), odd[::-1, ::-1], border=border, value=value)


def closing(
    images_bxhxwxc: Array, footprint: Footprint | None = None, *, border: MorphologyBorder = "reflect", value: float = 0.0
) -> jax.Array:
    """Returns the dilation, eroded with the mirrored footprint, which removes dark spots: `skimage.morphology.closing`."""
    odd = _odd(footprint)
    return erosion(dilation(images_bxhxwxc, odd, border=border, value=value), odd[::-1, ::-1], border=border, value=value)


def gradient(
    images_bxhxwxc: Array, footprint: Footprint | None = None, *, border: MorphologyBorder = "reflect", value: float = 0.0
) -> jax.Array:
    """Returns the dilation less the erosion, which is large at edges: `scipy.ndimage.morphological_gradient` of symmetric footprints."""
    return _difference(
        dilation(images_bxhxwxc, footprint, border=border, value=value), erosion(images_bxhxwxc, footprint, border=border, value=value)
    )


def white_tophat(
    images_bxhxwxc: Array, footprint: Footprint | None = None, *, border: MorphologyBorder = "reflect", value: float = 0.0
) -> jax.Array:
    """Returns the image less its opening, the small bright spots: `skimage.morphology.white_tophat`."""
    return _difference(_converted(images_bxhxwxc), opening(images_bxhxwxc, footprint, border=border, value=value))


def black_tophat(
    images_bxhxwxc: Array, footprint: Footprint | None = None, *, border: MorphologyBorder = "reflect", value: float = 0.0
) -> jax.Array:
    """Returns the closing less the image, the small dark spots: `skimage.morphology.black_tophat`."""
    return _difference(closing(images_bxhxwxc, footprint, border=border, value=value), _converted(images_bxhxwxc))


def reconstruction(seeds_bxhxwxc: Array, masks_bxhxwxc: Array, *, connectivity: int = 2) -> jax.Array:
    """Returns the seeds, dilated again and again and limited by the masks each time: `skimage.morphology.reconstruction`.

    Seeds above their mask are lowered to it. Pixels have 4 neighbors with connectivity 1, and 8 with 2. Values run along whole rows and
    columns at once, so the number of rounds grows with the turns of the paths that they take. The answer is one of the values of seeds and
    masks, and has their gradient only as far as `jax.lax.while_loop` has one: forward mode. Reconstruction by erosion is that of negated
    images. Raises UserError for different shapes and other connectivities.
    """
    seeds, masks = as_float(seeds_bxhxwxc), as_float(masks_bxhxwxc)
    if seeds.shape != masks.shape:
        raise UserError(f"seeds and masks must have one shape, got {tuple(seeds.shape)} and {tuple(masks.shape)}")
    if connectivity not in (1, 2):
        raise UserError(f"connectivity must be 1 or 2, got {connectivity!r}")

    seeds = jnp.minimum(seeds, masks)

    def limited(first: tuple[jax.Array, jax.Array], second: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Of two functions x -> min(high, max(low, x)), applied one after the other, the two numbers of their composition."""
        (low, high), (next_low, next_high) = first, second
        return jnp.minimum(next_high, jnp.maximum(next_low, low)), jnp.minimum(next_high, jnp.maximum(next_low, high))

    def spread(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        before = values = state[0]
        if connectivity == 2:
            values = jnp.minimum(dilation(values, square(3), border="ignore"), masks)
        for axis in (1, 2):
            for reverse in (False, True):
                values = lax.associative_scan(limited, (values, masks), axis=axis, reverse=reverse)[0]
        return values, jnp.any(values != before)

    return lax.while_loop(lambda state: state[1], spread, (seeds, jnp.asarray(True)))[0]


def _positive(name: str, size: int) -> int:
    if size < 1:
        raise UserError(f"{name} of a footprint must be at least 1, got {size}")
    return size


def _odd(footprint: Footprint | None) -> BoolArray:
    """The footprint with a row or a column of zeros before it where a side is even."""
    ones = cross(1) if footprint is None else np.asarray(footprint) != 0
    if ones.ndim != 2 or not ones.any():
        raise UserError(f"a footprint must have two axes and at least one pixel that is not 0, got the shape {ones.shape}")
    return np.pad(ones, [(1 - side % 2, 0) for side in ones.shape])


def _difference(larger: jax.Array, smaller: jax.Array) -> jax.Array:
    return larger ^ smaller if larger.dtype == bool else larger - smaller


def _converted(images_bxhxwxc: Array) -> jax.Array:
    """Booleans as they are, others as floating-point numbers."""
    return jnp.asarray(images_bxhxwxc) if images_bxhxwxc.dtype == bool and images_bxhxwxc.ndim == 4 else as_float(images_bxhxwxc)


def _extreme(images_bxhxwxc: Array, footprint: BoolArray, border: MorphologyBorder, value: float, *, smallest: bool) -> jax.Array:
    """The minimum or maximum over a footprint with odd sides.

    Each of its rows is made of runs of ones. The extremes over runs are computed once for each length, from those of half the length.
    """
    if border not in BORDERS:
        raise unknown("border", border, BORDERS)
    images = _converted(images_bxhxwxc)
    binary = images.dtype == bool
    choose = jnp.minimum if smallest else jnp.maximum
    if border == "ignore":
        border, value = "constant", float("inf") if smallest else float("-inf")
        value = smallest if binary else value
    (height, width), (rows, columns) = images.shape[1:3], footprint.shape
    padded = pad(images, (rows // 2, rows // 2), (columns // 2, columns // 2), border, value)
    runs: dict[int, jax.Array] = {}
    result: jax.Array | None = None
    for row, start, length in _runs(footprint):
        if length not in runs:
            runs[length] = _sliding(padded, length, choose)
        part = runs[length][:, row : row + height, start : start + width]
        result = part if result is None else choose(result, part)
    assert result is not None
    return result


def _runs(footprint: BoolArray) -> list[tuple[int, int, int]]:
    """Row, first column and length of each run of ones."""
    steps = np.diff(np.pad(footprint.astype(int), ((0, 0), (1, 1))), axis=1)
    (row, start), (_, end) = np.nonzero(steps == 1), np.nonzero(steps == -1)
    return list(zip(row.tolist(), start.tolist(), (end - start).tolist(), strict=True))


def _sliding(images: jax.Array, length: int, choose: Extremum) -> jax.Array:
    """The extreme over each pixel and the `length - 1` pixels to its right, as far as they are in the image."""
    size, result = 1, images
    while size < length:
        step = min(size, length - size)
        n = result.shape[2] - step
        result = choose(lax.slice_in_dim(result, 0, n, axis=2), lax.slice_in_dim(result, step, step + n, axis=2))
        size += step
    return result
