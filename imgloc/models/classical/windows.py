"""Square windows of several sizes at dense places of an image, and the blocks of histograms of oriented gradients that each one holds."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.features.hog import hog_blocks
from imgloc.image.borders import pad
from imgloc.types import FloatArray, IntArray


def level_size(height: int, width: int, window: int, side: float) -> tuple[int, int]:
    """The size of the image at a level, on which a window of `side`, in units of the image's shorter side, has `window` pixels."""
    factor = window / (side * min(height, width))
    return max(window, round(height * factor)), max(window, round(width * factor))


class WindowPyramid(NamedTuple):
    """Windows of `window` pixels on resized images, moved by cells of `cell` pixels; blocks have 2 x 2 cells."""

    window: int
    cell: int
    orientations: int
    sides: tuple[float, ...]  # of a window at each level, in units of the shorter side of the image, the smallest first

    @property
    def blocks(self) -> int:
        """The number of blocks of a window in each direction."""
        return self.window // self.cell - 1

    @property
    def depth(self) -> int:
        """The number of values of a block."""
        return 4 * self.orientations

    @property
    def margin(self) -> int:
        """The pixels added around a resized image, so that windows of objects at its edge lie inside: a quarter window of whole cells."""
        return -(-self.window // (4 * self.cell)) * self.cell

    def size(self, height: int, width: int, side: float) -> tuple[int, int]:
        """The size of the image at a level, on which a window has `window` pixels."""
        return level_size(height, width, self.window, side)


def block_maps(images_bxhxwxc: jax.Array, pyramid: WindowPyramid) -> list[jax.Array]:
    """For each level the blocks (b, r, s, depth) of images (b, h, w, c) in [0, 1], resized and with a margin of its edge pixels."""
    b, h, w, c = images_bxhxwxc.shape
    maps = []
    for side in pyramid.sides:
        resized = jax.image.resize(images_bxhxwxc.astype(jnp.float32), (b, *pyramid.size(h, w, side), c), "linear")
        padded = pad(resized, (pyramid.margin, pyramid.margin), (pyramid.margin, pyramid.margin), "nearest")
        cells = (pyramid.cell, pyramid.cell)
        blocks = hog_blocks(padded, orientations=pyramid.orientations, pixels_per_cell=cells, cells_per_block=(2, 2))
        maps.append(blocks.reshape(*blocks.shape[:3], pyramid.depth))
    return maps


def window_boxes(height: int, width: int, pyramid: WindowPyramid) -> list[FloatArray]:
    """For each level the boxes (r', s', 4) of its windows, xyxy in units of the image of h x w pixels; some reach beyond it."""
    boxes = []
    for side in pyramid.sides:
        h, w = pyramid.size(height, width, side)
        rows, columns = ((n + 2 * pyramid.margin) // pyramid.cell - 1 - pyramid.blocks + 1 for n in (h, w))
        y0, x0 = (np.arange(count) * pyramid.cell - pyramid.margin for count in (rows, columns))
        edges = np.meshgrid(x0, y0), np.meshgrid(x0 + pyramid.window, y0 + pyramid.window)
        boxes.append(np.stack([edges[0][0] / w, edges[0][1] / h, edges[1][0] / w, edges[1][1] / h], axis=-1).astype(np.float32))
    return boxes


def responses(maps: list[jax.Array], weights_uxvxdxo: jax.Array) -> jax.Array:
    """The dot products (b, windows, outputs) of all windows of all levels with weights (blocks, blocks, depth, outputs)."""
    parts = [
        jax.lax.conv_general_dilated(
            blocks, weights_uxvxdxo, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
        )
        for blocks in maps
    ]
    return jnp.concatenate([part.reshape(part.shape[0], -1, part.shape[-1]) for part in parts], axis=1)


def window_vectors(maps: list[FloatArray], pyramid: WindowPyramid, image_m: IntArray, window_m: IntArray) -> FloatArray:
    """The blocks (m, blocks * blocks * depth) of chosen windows: their image in the batch and their number among all windows."""
    size = pyramid.blocks
    vectors = np.zeros((len(image_m), size * size * pyramid.depth), np.float32)
    start = 0
    for blocks in maps:
        rows, columns = (n - size + 1 for n in blocks.shape[1:3])
        here = np.flatnonzero((window_m >= start) & (window_m < start + rows * columns))
        view = np.lib.stride_tricks.sliding_window_view(blocks, (size, size), axis=(1, 2))
        chosen = view[image_m[here], (window_m[here] - start) // columns, (window_m[here] - start) % columns]  # (m, depth, size, size)
        vectors[here] = chosen.transpose(0, 2, 3, 1).reshape(len(here), vectors.shape[1])
        start += rows * columns
    return vectors
