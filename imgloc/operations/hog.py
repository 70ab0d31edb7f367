"""Histograms of oriented gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from imgloc import draw
from imgloc.features.hog import hog_cells, hog_picture
from imgloc.interfaces import Operation
from imgloc.types import FloatArray


def hog(images_bxhxwxc: jax.Array, *, orientations: int = 9, cell: int = 8) -> jax.Array:
    """The histogram of gradients around each pixel: (b, h, w, orientations), that of its cell of `cell` x `cell` pixels."""
    _, height, width, _ = images_bxhxwxc.shape
    cells = hog_cells(images_bxhxwxc, orientations=orientations, pixels_per_cell=(cell, cell))
    maps = cells.repeat(cell, axis=1).repeat(cell, axis=2)
    # Pixels at the right and at the bottom that fill no cell have the histogram of the last one.
    return jnp.pad(maps, ((0, 0), (0, height - maps.shape[1]), (0, width - maps.shape[2]), (0, 0)), mode="edge")


def picture(maps_hxwxk: FloatArray, *, cell: int = 8) -> FloatArray:
    """A line for each orientation in each cell, as bright as its value."""
    height, width, _ = maps_hxwxk.shape
    middles = np.asarray(maps_hxwxk)[cell // 2 :: cell, cell // 2 :: cell]
    cells = middles[: height // cell, : width // cell]
    return draw.show_range(hog_picture(cells, height, width, (cell, cell))[..., None])


OPERATION = Operation(hog, "histograms of the directions of gradients, one for each cell of pixels", picture)
