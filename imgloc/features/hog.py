"""Histograms of oriented gradients (HOG): Dalal and Triggs, CVPR 2005, in the form of `skimage.feature.hog`.

`hog_cells` returns the histograms of the dense grid of cells, `hog_blocks` the normalized blocks of cells, `hog` the flat descriptor of
each image. A detector that slides a window over an image computes the cells or blocks once and reads those of each window.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import UserError, unknown
from imgloc.types import Array, FloatArray

BlockNorm = Literal["L1", "L1-sqrt", "L2", "L2-Hys"]

EPSILON = 1e-5  # of the norms
HYSTERESIS = 0.2  # the largest value of a block under L2-Hys before it is normalized again


@partial(jax.jit, static_argnames=("orientations", "pixels_per_cell", "transform_sqrt"))
def hog_cells(
    images_bxhxwxc: Array, *, orientations: int = 9, pixels_per_cell: tuple[int, int] = (8, 8), transform_sqrt: bool = False
) -> jax.Array:
    """The histograms (b, h // rows, w // columns, orientations), float32, of cells of `pixels_per_cell` (rows, columns).

    Value k of a cell is the mean over its pixels of the length of gradients whose direction, in [0, 180) degrees, is in the k-th
    equal part. The gradient of a pixel is that of the channel with the longest one; at the edges of the image, its component across
    the edge is 0. `transform_sqrt` takes the square root of the pixels first, which must not be negative then. Pixels at the right and
    at the bottom that fill no cell are left out. Raises UserError where no cell fits.
    """
    rows, columns = pixels_per_cell
    if min(orientations, rows, columns) < 1:
        raise UserError(f"HOG: orientations and pixels_per_cell must be at least 1, got {orientations} and {pixels_per_cell}")
    b, height, width, _ = images_bxhxwxc.shape
    cells_down, cells_across = height // rows, width // columns
    if min(cells_down, cells_across) < 1:
        raise UserError(f"HOG: an image of {height} x {width} pixels holds no cell of {rows} x {columns}; pass larger images")
    images = jnp.asarray(images_bxhxwxc, jnp.float32)
    dy, dx = _strongest_gradients(jnp.sqrt(images) if transform_sqrt else images)
    dy, dx = (each[:, : cells_down * rows, : cells_across * columns] for each in (dy, dx))
    lengths, bins = _root(dy**2 + dx**2), _orientation_bins(dy, dx, orientations)
    histograms = []
    for k in range(orientations):  # one sum down and one across for each: XLA vectorizes the first, and reads the image once
        down = jnp.where(bins == k, lengths, 0.0).reshape(b, cells_down, rows, cells_across * columns).sum(2)
        histograms.append(down.reshape(b, cells_down, cells_across, columns).sum(3))
    return jnp.stack(histograms, axis=-1) / (rows * columns)


@partial(jax.jit, static_argnames=("cells_per_block", "block_norm"))
def normalize_blocks(cells_bxrxsxo: Array, *, cells_per_block: tuple[int, int] = (3, 3), block_norm: BlockNorm = "L2-Hys") -> jax.Array:
    """All blocks of `cells_per_block` (rows, columns) neighboring cells, each normalized.

    Blocks are (b, r - rows + 1, s - columns + 1, rows, columns, o).

    `L1` divides a block by the sum of its values, `L2` by its Euclidean norm; `L1-sqrt` takes the square root after L1; `L2-Hys` limits the
    values after L2 to 0.2 and normalizes again. Raises UserError for an unknown norm and for fewer cells than those of a block.
    """
    if block_norm not in get_args(BlockNorm):
        raise unknown("block_norm", block_norm, get_args(BlockNorm))
    rows, columns = cells_per_block
    down, across = cells_bxrxsxo.shape[1] - rows + 1, cells_bxrxsxo.shape[2] - columns + 1
    if min(rows, columns) < 1 or min(down, across) < 1:
        grid = f"{cells_bxrxsxo.shape[1]} x {cells_bxrxsxo.shape[2]}"
        raise UserError(
            f"HOG: blocks of {rows} x {columns} cells do not fit into a grid of {grid} cells; pass larger images or smaller blocks"
        )
    cells = jnp.asarray(cells_bxrxsxo)
    parts = [jnp.stack([cells[:, y : y + down, x : x + across] for x in range(columns)], axis=3) for y in range(rows)]
    blocks = jnp.stack(parts, axis=3)
    if block_norm in ("L1", "L1-sqrt"):
        blocks = blocks / (_sum_of_block(jnp.abs(blocks)) + EPSILON)
        return _root(blocks) if block_norm == "L1-sqrt" else blocks
    blocks = blocks / jnp.sqrt(_sum_of_block(blocks**2) + EPSILON**2)
    if block_norm == "L2":
        return blocks
    blocks = jnp.minimum(blocks, HYSTERESIS)
    return blocks / jnp.sqrt(_sum_of_block(blocks**2) + EPSILON**2)


def hog_blocks(
    images_bxhxwxc: Array,
    *,
    orientations: int = 9,
    pixels_per_cell: tuple[int, int] = (8, 8),
    cells_per_block: tuple[int, int] = (3, 3),
    block_norm: BlockNorm = "L2-Hys",
    transform_sqrt: bool = False,
) -> jax.Array:
    """`normalize_blocks` of `hog_cells`: (b, block rows, block columns, rows of a block, columns of a block, orientations), float32."""
    cells: jax.Array = hog_cells(images_bxhxwxc, orientations=orientations, pixels_per_cell=pixels_per_cell, transform_sqrt=transform_sqrt)
    blocks: jax.Array = normalize_blocks(cells, cells_per_block=cells_per_block, block_norm=block_norm)
    return blocks


def hog(
    images_bxhxwxc: Array,
    *,
    orientations: int = 9,
    pixels_per_cell: tuple[int, int] = (8, 8),
    cells_per_block: tuple[int, int] = (3, 3),
    block_norm: BlockNorm = "L2-Hys",
    transform_sqrt: bool = False,
) -> jax.Array:
    """The descriptor of each image (b, d), float32: its `hog_blocks`, flat."""
    blocks = hog_blocks(
        images_bxhxwxc,
        orientations=orientations,
        pixels_per_cell=pixels_per_cell,
        cells_per_block=cells_per_block,
        block_norm=block_norm,
        transform_sqrt=transform_sqrt,
    )
    return blocks.reshape(blocks.shape[0], -1)


def hog_picture(cells_rxsxo: FloatArray, height: int, width: int, pixels_per_cell: tuple[int, int] = (8, 8)) -> FloatArray:
    """A picture (h, w) of the cells of one image: in each cell a line for every orientation, as bright as its value.

    A line is perpendicular to the gradient, so it follows an edge. The picture of `skimage.feature.hog` with `visualize=True`.
    """
    rows, columns = pixels_per_cell
    down, across, orientations = cells_rxsxo.shape
    radius = max(min(rows, columns) // 2 - 1, 0)  # a cell of one pixel is a point
    middles = np.pi * (np.arange(orientations) + 0.5) / orientations
    picture = np.zeros((height, width), np.float32)
    for k, (dy, dx) in enumerate(zip(radius * np.sin(middles), radius * np.cos(middles), strict=True)):
        for i in range(down):
            for j in range(across):
                y, x = i * rows + rows // 2, j * columns + columns // 2
                line = _line(int(y - dx), int(x + dy), int(y + dx), int(x - dy))
                picture[line] += cells_rxsxo[i, j, k]
    return picture


def _line(y0: int, x0: int, y1: int, x1: int) -> tuple[FloatArray, FloatArray]:
    """Rows and columns of the pixels of a line (Bresenham, 1965)."""
    steep = abs(y1 - y0) > abs(x1 - x0)
    start, end, across, across_end = (y0, y1, x0, x1) if steep else (x0, x1, y0, y1)
    length, rise = abs(end - start), abs(across_end - across)
    along, step = 1 if end > start else -1, 1 if across_end > across else -1
    error = 2 * rise - length
    positions = []
    for _ in range(length):
        positions.append((start, across))
        while error >= 0:
            across += step
            error -= 2 * length
        start += along
        error += 2 * rise
    positions.append((end, across_end))
    first, second = np.array(positions).T
    return (first, second) if steep else (second, first)


def _sum_of_block(blocks: jax.Array) -> jax.Array:
    return blocks.sum(axis=(-3, -2, -1), keepdims=True)


def _root(x: jax.Array) -> jax.Array:
    """The square root, with the gradient 0 at 0."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0)


def _strongest_gradients(images_bxhxwxc: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Differences down and across (b, h, w) of the two neighbors of each pixel, in the channel where their length is the largest."""
    down = jnp.pad(images_bxhxwxc[:, 2:] - images_bxhxwxc[:, :-2], ((0, 0), (1, 1), (0, 0), (0, 0)))
    across = jnp.pad(images_bxhxwxc[:, :, 2:] - images_bxhxwxc[:, :, :-2], ((0, 0), (0, 0), (1, 1), (0, 0)))
    dy, dx = down[..., 0], across[..., 0]
    for channel in range(1, images_bxhxwxc.shape[3]):
        other_dy, other_dx = down[..., channel], across[..., channel]
        longer = other_dy**2 + other_dx**2 > dy**2 + dx**2
        dy, dx = jnp.where(longer, other_dy, dy), jnp.where(longer, other_dx, dx)
    return dy, dx


def _orientation_bins(dy: jax.Array, dx: jax.Array, orientations: int) -> jax.Array:
    """The index of the equal part of [0, 180) degrees that holds the direction of each gradient.

    It counts the borders between parts at or below the direction, by the side of the border on which the gradient lies: a few
    multiplications in place of an arctangent. A border is scaled so that its longer side is 1; then diagonals are exact.
    """
    turned = (dy < 0) | ((dy == 0) & (dx < 0))
    dy, dx = jnp.where(turned, -dy, dy), jnp.where(turned, -dx, dx)
    angles = np.pi * np.arange(1, orientations) / orientations
    borders = np.stack([np.cos(angles), np.sin(angles)])
    borders = (borders / np.abs(borders).max(axis=0)).round(12).astype(np.float32)  # cos(90 degrees) is 0, not 6e-17
    bins = jnp.zeros(dy.shape, jnp.int32)
    for cosine, sine in borders.T:
        bins += (dy * cosine >= dx * sine).astype(jnp.int32)
    return bins
