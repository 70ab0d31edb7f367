"""Where the locations of a dense detector lie in relation to objects."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.types import Array


def distances_in_cells(cells_lx4: Array, boxes_nx4: Array) -> jax.Array:
    """Returns the distances (n, l, 4) from the center of each cell to the edges of each box, in sides of the cell; negative outside."""
    center_lx2, side_lx2 = (cells_lx4[:, :2] + cells_lx4[:, 2:]) / 2, cells_lx4[:, 2:] - cells_lx4[:, :2]
    low_nxlx2 = (center_lx2 - boxes_nx4[:, None, :2]) / side_lx2
    high_nxlx2 = (boxes_nx4[:, None, 2:] - center_lx2) / side_lx2
    return jnp.concatenate([low_nxlx2, high_nxlx2], axis=-1)


def contains_center(cells_lx4: Array, boxes_nx4: Array, mask_n: Array, allowed_nxl: Array | bool = True) -> jax.Array:
    """Returns the mask (n, l) of the cells whose center an object contains, and of the nearest cell of an object that contains none.

    Only the cells of `allowed_nxl` count, of which every object must have one. An object whose mask is False contains nothing.
    """
    inside_nxl = (distances_in_cells(cells_lx4, boxes_nx4).min(axis=-1) > 0) & allowed_nxl
    center_nx4 = jnp.tile((boxes_nx4[:, :2] + boxes_nx4[:, 2:]) / 2, 2)
    center_lx2 = (cells_lx4[:, :2] + cells_lx4[:, 2:]) / 2
    offset_nxl = jnp.where(allowed_nxl, jnp.square(center_lx2 - center_nx4[:, None, :2]).sum(axis=-1), jnp.inf)
    nearest_nxl = jnp.arange(len(cells_lx4)) == jnp.argmin(offset_nxl, axis=1)[:, None]
    return jnp.where(inside_nxl.any(axis=1, keepdims=True), inside_nxl, nearest_nxl) & mask_n[:, None]
