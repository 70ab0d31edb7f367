"""Assignment by position and size alone (FCOS; Tian et al., 2019, arXiv:1904.01355, with its center sampling)."""

from __future__ import annotations

import jax.numpy as jnp

from imgloc import boxes as box_arithmetic
from imgloc.losses.geometry.dense_targets import Assigned, DensePredictions
from imgloc.losses.geometry.locations import contains_center, distances_in_cells
from imgloc.types import Array

RADIUS = 1.5  # cells around the center of an object, along x and y
REACH = 8.0  # cells: a map learns objects whose farthest edge is at most this far, 64 pixels at stride 8 as in the paper, section 3.2


def assign(predictions: DensePredictions, boxes_nx4: Array, labels_n: Array, mask_n: Array) -> Assigned:
    """The locations near the center of an object, on the map whose stride suits its size; of several objects, the smallest one.

    The quality is the IoU of the predicted box, as in the quality focal loss (Li et al., 2020, arXiv:2006.04388). An object too small
    to contain a center has the nearest one.
    """
    cells_lx4 = predictions.cells_lx4
    reach_nxl = distances_in_cells(cells_lx4, boxes_nx4).max(axis=-1)
    side_l = cells_lx4[:, 2] - cells_lx4[:, 0]
    is_finest_l, is_coarsest_l = side_l <= side_l.min() * 1.01, side_l >= side_l.max() / 1.01
    suits_nxl = (is_finest_l | (reach_nxl > REACH / 2)) & (is_coarsest_l | (reach_nxl <= REACH))
    center_nx4 = jnp.tile((boxes_nx4[:, :2] + boxes_nx4[:, 2:]) / 2, 2)
    near_nxl = jnp.abs(distances_in_cells(cells_lx4, center_nx4)).max(axis=-1) < RADIUS
    chosen_nxl = contains_center(cells_lx4, boxes_nx4, mask_n, suits_nxl & near_nxl)
    area_nx1 = box_arithmetic.area(boxes_nx4)[:, None]
    object_l = jnp.argmin(jnp.where(chosen_nxl, area_nx1, jnp.inf), axis=0)
    iou_l = box_arithmetic.iou(boxes_nx4[object_l], predictions.boxes_lx4)
    is_positive_l = chosen_nxl.any(axis=0)
    return Assigned(object_l, jnp.where(is_positive_l, iou_l, 0.0), jnp.zeros(object_l.shape, jnp.bool_))
