"""Local binary patterns (LBP): Ojala, Pietikainen and Maenpaa, 2002 (doi:10.1109/TPAMI.2002.1017623), as in scikit-image."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import UserError, unknown
from imgloc.types import Array

Method = Literal["default", "ror", "uniform", "nri_uniform", "var"]

MAX_POINTS = 30  # bits of a pattern that fit into int32


@partial(jax.jit, static_argnames=("points", "radius", "method"))
def local_binary_pattern(images_bxhxwxc: Array, *, points: int = 8, radius: float = 1.0, method: Method = "default") -> jax.Array:
    """The pattern of each pixel and channel: (b, h, w, c), int32.

    The pattern compares `points` places on a circle of `radius` pixels with its center: bit i is 1 where place i is at least as bright.
    Places between pixels are interpolated bilinearly, pixels beyond the image are 0. A place that equals the center exactly counts as 1;
    scikit-image's interpolation rounds, so it may count it as 0.

    `default` returns the bits as a number, `ror` the smallest number among the rotations of the bits. `uniform` returns the number of
    ones for patterns with at most two changes along the circle, and points + 1 for all others; `nri_uniform` distinguishes the
    rotations of those patterns too (Ahonen et al., 2006). `var` returns the variance of the places instead, float32, NaN where it is 0.
    Raises UserError for an unknown method, fewer than 1 or more than 30 points, and a radius that is not positive.
    """
    check(points, radius, method)
    images = jnp.asarray(images_bxhxwxc, jnp.float32)
    differences = _differences(images, points, radius)
    if method == "var":
        mean = sum(differences) / points
        variance = sum((each - mean) ** 2 for each in differences) / points
        return jnp.where(variance > 0, variance, jnp.nan)
    bits = [(each >= 0).astype(jnp.int32) for each in differences]
    if method in ("default", "ror"):
        number = smallest = jnp.asarray(sum(bit << i for i, bit in enumerate(bits)))
        if method == "default":
            return number
        for _ in range(points - 1):
            number = (number >> 1) | ((number & 1) << (points - 1))
            smallest = jnp.minimum(smallest, number)
        return smallest
    changes = sum((a != b).astype(jnp.int32) for a, b in pairwise(bits))
    ones = jnp.asarray(sum(bits))
    if method == "uniform":
        return jnp.where(changes <= 2, ones, points + 1)
    return jnp.where(changes <= 2, _label_with_rotation(bits, ones), points * (points - 1) + 2)


def check(points: int, radius: float, method: str) -> None:
    """Raises UserError for options that no pattern has."""
    if method not in get_args(Method):
        raise unknown("method of LBP", method, get_args(Method))
    if not 1 <= points <= MAX_POINTS:
        raise UserError(f"LBP: points must be 1 to {MAX_POINTS}, got {points}")
    if not radius > 0:
        raise UserError(f"LBP: radius must be positive, got {radius:g}")


def number_of_patterns(points: int, method: Method = "default") -> int:
    """The number of values that `local_binary_pattern` may return: the bins of a histogram. Raises UserError for `var`."""
    counts: dict[str, int] = {"default": 2**points, "ror": 2**points, "uniform": points + 2, "nri_uniform": points * (points - 1) + 3}
    if method not in counts:
        raise unknown("method of LBP with patterns to count", method, counts)
    return counts[method]


@partial(jax.jit, static_argnames=("bins", "cells"))
def pattern_histograms(patterns_bxhxwxc: Array, *, bins: int, cells: tuple[int, int] = (1, 1)) -> jax.Array:
    """The share of each pattern among the pixels of each cell: (b, rows, columns, c, bins), float32, which sum to 1.

    `cells` (rows, columns) divides the image into equal cells; pixels at the right and at the bottom that fill no cell are left out.
    Raises UserError where a cell would hold no pixel.
    """
    rows, columns = cells
    b, height, width, channels = patterns_bxhxwxc.shape
    if min(rows, columns) < 1 or rows > height or columns > width:
        raise UserError(f"cells of histograms must be 1 to {height} down and 1 to {width} across for these images, got {cells}")
    down, across = height // rows, width // columns
    patterns = jnp.asarray(patterns_bxhxwxc)[:, : rows * down, : columns * across].astype(jnp.int32)
    patterns = patterns.reshape(b, rows, down, columns, across, channels).transpose(0, 1, 3, 5, 2, 4).reshape(-1, down * across)
    counts = jnp.zeros((patterns.shape[0], bins), jnp.int32)
    counts = counts.at[jnp.arange(patterns.shape[0])[:, None], patterns].add(1)
    return counts.reshape(b, rows, columns, channels, bins) / (down * across)


def _differences(images_bxhxwxc: jax.Array, points: int, radius: float) -> list[jax.Array]:
    """Each place on the circle minus its center. A weighted sum of differences, so that it is exactly 0 where an image is flat."""
    _, height, width, _ = images_bxhxwxc.shape
    margin = math.ceil(radius) + 1
    padded = jnp.pad(images_bxhxwxc, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    angles = 2 * np.pi * np.arange(points) / points
    differences = []
    for y, x in zip(np.round(-radius * np.sin(angles), 5), np.round(radius * np.cos(angles), 5), strict=True):
        top, left = math.floor(y), math.floor(x)
        total = jnp.zeros_like(images_bxhxwxc)
        for row, row_weight in ((top, 1 - (y - top)), (top + 1, y - top)):
            for column, column_weight in ((left, 1 - (x - left)), (left + 1, x - left)):
                if row_weight * column_weight > 0:
                    neighbors = padded[:, margin + row : margin + row + height, margin + column : margin + column + width]
                    total += np.float32(row_weight * column_weight) * (neighbors - images_bxhxwxc)
        differences.append(total)
    return differences


def _label_with_rotation(bits: list[jax.Array], ones: jax.Array) -> jax.Array:
    """1 + (ones - 1) * points + rotation for patterns with some ones and some zeros; 0 for no ones, points * (points - 1) + 1 for all."""
    points = len(bits)
    stacked = jnp.stack(bits)
    first_one, first_zero = jnp.argmax(stacked == 1, axis=0), jnp.argmax(stacked == 0, axis=0)
    rotation = jnp.where(first_one == 0, ones - first_zero, points - first_one)
    label = 1 + (ones - 1) * points + rotation.astype(jnp.int32)
    return jnp.where(ones == 0, 0, jnp.where(ones == points, points * (points - 1) + 1, label))
