"""Task-aligned assignment: the locations that already predict an object best learn it (Feng et al., 2021, arXiv:2108.07755)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc import boxes as box_arithmetic
from imgloc.losses.geometry.dense_targets import Assigned, DensePredictions
from imgloc.losses.geometry.locations import contains_center
from imgloc.types import Array

PER_OBJECT = 13  # locations that learn an object: m of the paper, section 3.2
SCORE_POWER, IOU_POWER = 0.5, 6.0  # alpha and beta of equation 3; alpha is 1 in the paper and 0.5 in Ultralytics' YOLOv8


def assign(predictions: DensePredictions, boxes_nx4: Array, labels_n: Array, mask_n: Array) -> Assigned:
    """The PER_OBJECT locations with the best alignment, score^alpha IoU^beta, of those with their center in the object's box.

    A location of several objects learns the one that its box overlaps most. The quality is the alignment over the best alignment of
    the object, times its best IoU (section 3.2). An object too small to contain a center has the nearest one.
    """
    possible_nxl = contains_center(predictions.cells_lx4, boxes_nx4, mask_n)
    iou_nxl = box_arithmetic.iou(boxes_nx4[:, None], predictions.boxes_lx4[None])
    score_nxl = predictions.scores_lxk.T[labels_n]
    alignment_nxl = jnp.where(possible_nxl, score_nxl**SCORE_POWER * iou_nxl**IOU_POWER, 0.0)
    count = min(PER_OBJECT, alignment_nxl.shape[1])
    least_nx1 = jax.lax.top_k(alignment_nxl, count)[0][:, -1:]
    chosen_nxl = possible_nxl & (alignment_nxl >= least_nx1)
    object_l = jnp.argmax(jnp.where(chosen_nxl, iou_nxl, -1.0), axis=0)
    own_nxl = chosen_nxl & (jnp.arange(len(boxes_nx4))[:, None] == object_l)
    best_nx1 = jnp.where(own_nxl, alignment_nxl, 0.0).max(axis=1, keepdims=True)
    best_iou_nx1 = jnp.where(own_nxl, iou_nxl, 0.0).max(axis=1, keepdims=True)
    quality_nxl = jnp.where(own_nxl, alignment_nxl / jnp.maximum(best_nx1, 1e-12) * best_iou_nx1, 0.0)
    return Assigned(object_l, quality_nxl.sum(axis=0), jnp.zeros(object_l.shape, jnp.bool_))
