"""Assignment of one location to each object, the one nearest to its center (as CenterNet's; Zhou et al., 2019, arXiv:1904.07850)."""

from __future__ import annotations

import jax.numpy as jnp

from imgloc import boxes as box_arithmetic
from imgloc.losses.geometry.dense_targets import Assigned, DensePredictions
from imgloc.losses.geometry.locations import contains_center, distances_in_cells
from imgloc.types import Array

SIDE = 4.0  # cells: the side of an object for which a map is finest, so that objects of twice the size are those of the next map
RADIUS = 1.5  # cells around the center, along x and y, in which other locations learn nothing


def assign(predictions: DensePredictions, boxes_nx4: Array, labels_n: Array, mask_n: Array) -> Assigned:
    """The location whose cell holds the center of an object, on the map whose stride suits its size; of several objects, the smallest.

    Its quality is the IoU of the predicted box. Where CenterNet lowers the weight of locations around the center by a Gaussian, those
    within RADIUS are ignored, on every map.
    """
    cells_lx4 = predictions.cells_lx4
    center_nx4 = jnp.tile((boxes_nx4[:, :2] + boxes_nx4[:, 2:]) / 2, 2)
    offset_nxl = jnp.abs(distances_in_cells(cells_lx4, center_nx4)).max(axis=-1)
    ratio_nxl = jnp.sqrt(box_arithmetic.area(boxes_nx4)[:, None] / box_arithmetic.area(cells_lx4)[None])
    cost_nxl = offset_nxl + 10 * jnp.abs(jnp.log2(jnp.maximum(ratio_nxl, 1e-6) / SIDE))  # the map first, then the location
    nearest_n = jnp.argmin(cost_nxl, axis=1)
    chosen_nxl = (jnp.arange(len(cells_lx4)) == nearest_n[:, None]) & mask_n[:, None]
    area_nx1 = box_arithmetic.area(boxes_nx4)[:, None]
    object_l = jnp.argmin(jnp.where(chosen_nxl, area_nx1, jnp.inf), axis=0)
    is_positive_l = chosen_nxl.any(axis=0)
    iou_l = box_arithmetic.iou(boxes_nx4[object_l], predictions.boxes_lx4)
    around_l = (contains_center(cells_lx4, boxes_nx4, mask_n) & (offset_nxl < RADIUS)).any(axis=0)
    return Assigned(object_l, jnp.where(is_positive_l, iou_l, 0.0), around_l & ~is_positive_l)
