"""Gray-level co-occurrence matrices and their properties: Haralick et al., 1973 (doi:10.1109/TSMC.1973.4309314), as in scikit-image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp

from imgloc.errors import UserError, look_up
from imgloc.types import Array


def quantize(images_bxhxwxc: Array, levels: int) -> jax.Array:
    """Pixels in [0, 1] as integers 0 to levels - 1, int32: equal parts of [0, 1]."""
    pixels = jnp.asarray(images_bxhxwxc, jnp.float32)
    return jnp.clip(jnp.floor(pixels * levels), 0, levels - 1).astype(jnp.int32)


def cooccurrence_matrices(
    levels_bxhxwxc: Array,
    distances: Sequence[float] = (1,),
    angles: Sequence[float] = (0.0,),
    *,
    levels: int,
    symmetric: bool = False,
    normed: bool = False,
) -> jax.Array:
    """How often level j is found at a distance and an angle from level i: (b, c, levels, levels, distances, angles).

    The images are integers 0 to levels - 1, such as those of `quantize`; pairs with another value are not counted. Angles are in radians,
    from the pixel to the right towards the bottom; offsets are rounded to whole pixels. `symmetric` counts each pair in both orders.
    The counts are int32; `normed` divides each matrix by its sum, float32. Raises UserError for fewer than 1 level.
    """
    if levels < 1:
        raise UserError(f"levels of co-occurrence matrices must be at least 1, got {levels}")
    offsets = tuple((_rounded(math.sin(a) * d), _rounded(math.cos(a) * d)) for d in distances for a in angles)
    matrices: jax.Array = _count(jnp.asarray(levels_bxhxwxc), offsets, levels)
    matrices = matrices.reshape(*matrices.shape[:4], len(distances), len(angles))
    if symmetric:
        matrices = matrices + matrices.swapaxes(2, 3)
    return _normalize(matrices) if normed else matrices


def _rounded(value: float) -> int:
    """Halves are rounded away from zero, as those of C."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


@partial(jax.jit, static_argnames=("offsets", "levels"))
def _count(levels_bxhxwxc: jax.Array, offsets: tuple[tuple[int, int], ...], levels: int) -> jax.Array:
    b, height, width, channels = levels_bxhxwxc.shape
    images = levels_bxhxwxc.transpose(0, 3, 1, 2).reshape(b * channels, height, width)
    index = jnp.arange(b * channels)[:, None, None]
    matrices = []
    for down, across in offsets:
        rows = slice(max(0, -down), max(0, min(height, height - down)))
        columns = slice(max(0, -across), max(0, min(width, width - across)))
        first = images[:, rows, columns]
        second = images[:, slice(rows.start + down, rows.stop + down), slice(columns.start + across, columns.stop + across)]
        counted = (first >= 0) & (first < levels) & (second >= 0) & (second < levels)
        counts = jnp.zeros((b * channels, levels, levels), jnp.int32)
        matrices.append(counts.at[index, first, second].add(counted.astype(jnp.int32), mode="drop"))
    return jnp.stack(matrices, axis=-1).reshape(b, channels, levels, levels, len(offsets))


def _normalize(matrices: jax.Array) -> jax.Array:
    sums = matrices.sum(axis=(2, 3), keepdims=True)
    return matrices / jnp.where(sums == 0, 1, sums)


def property_of(matrices_bxcxlxlxdxa: Array, name: str) -> jax.Array:
    """A property of each co-occurrence matrix: (b, c, distances, angles), float32. Matrices are divided by their sums first.

    The names of `PROPERTIES`, as those of `skimage.feature.graycoprops`. Raises UserError for any other.
    """
    function = look_up("property of co-occurrence matrices", name, PROPERTIES)
    return function(_normalize(jnp.asarray(matrices_bxcxlxlxdxa)).astype(jnp.float32))


def _moments(p: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """Levels minus their mean under p, and their variance: of the first level of pairs (axis 2) or the second (axis 3)."""
    shape = [1] * p.ndim
    shape[axis] = p.shape[axis]
    level = jnp.arange(p.shape[axis], dtype=jnp.float32).reshape(shape)
    centered = level - (level * p).sum(axis=(2, 3), keepdims=True)
    return centered, (p * centered**2).sum(axis=(2, 3))


def _difference(p: jax.Array) -> jax.Array:
    level = jnp.arange(p.shape[2], dtype=jnp.float32)
    return (level[:, None] - level)[:, :, None, None]


def _root(x: jax.Array) -> jax.Array:
    """The square root, with the gradient 0 at 0."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0)


def _mean(p: jax.Array) -> jax.Array:
    return (jnp.arange(p.shape[2], dtype=jnp.float32)[:, None, None, None] * p).sum(axis=(2, 3))


def _entropy(p: jax.Array) -> jax.Array:
    return -(p * jnp.log(jnp.where(p > 0, p, 1.0))).sum(axis=(2, 3))


def _correlation(p: jax.Array) -> jax.Array:
    """1 where all pixels of either side have one level."""
    (first, first_variance), (second, second_variance) = _moments(p, 2), _moments(p, 3)
    scale = _root(first_variance) * _root(second_variance)
    return jnp.where(scale > 0, (p * first * second).sum(axis=(2, 3)) / jnp.where(scale > 0, scale, 1.0), 1.0)


PROPERTIES: dict[str, Callable[[jax.Array], jax.Array]] = {
    "contrast": lambda p: (p * _difference(p) ** 2).sum(axis=(2, 3)),
    "dissimilarity": lambda p: (p * jnp.abs(_difference(p))).sum(axis=(2, 3)),
    "homogeneity": lambda p: (p / (1 + _difference(p) ** 2)).sum(axis=(2, 3)),
    "ASM": lambda p: (p**2).sum(axis=(2, 3)),
    "energy": lambda p: _root((p**2).sum(axis=(2, 3))),
    "correlation": _correlation,
    "mean": _mean,
    "variance": lambda p: _moments(p, 2)[1],
    "std": lambda p: _root(_moments(p, 2)[1]),
    "entropy": _entropy,
}
