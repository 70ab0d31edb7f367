"""The cheapest matching of objects and steps by class and box (DETR; Carion et al., 2020, arXiv:2005.12872, equation 1)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc import boxes as box_arithmetic
from imgloc.losses.geometry.set_targets import SetPredictions, cheapest_steps
from imgloc.types import Array

L1_WEIGHT, GIOU_WEIGHT = 5.0, 2.0  # of the paper (appendix A.4); the class has weight 1


def match(predictions: SetPredictions, boxes_nx4: Array, labels_n: Array, mask_n: Array) -> jax.Array:
    """Returns the step of each object, (n,), that minimizes the sum of the costs. The order of the steps does not count.

    A cost is 5 times the L1 distance of the boxes (center, width and height), minus 2 GIoU, minus the probability of the class. DETR's
    classes include "no object", so that its probability of the class includes that of an object. Here the probability that a step has
    an object is another output, `object_presence`, and is not part of the cost.
    """
    probability_nxm = jnp.take(predictions.probabilities_mxk, labels_n, axis=1).T
    distance_nxm = l1_distance(predictions.boxes_mx4, boxes_nx4[:, None])
    overlap_nxm = box_arithmetic.giou(predictions.boxes_mx4, boxes_nx4[:, None])
    return cheapest_steps(L1_WEIGHT * distance_nxm - GIOU_WEIGHT * overlap_nxm - probability_nxm, mask_n)


def l1_distance(a: Array, b: Array) -> jax.Array:
    """Returns the sum of the absolute differences of the centers, widths and heights of boxes (..., 4)."""
    difference = a - b
    low, high = difference[..., :2], difference[..., 2:]
    return (jnp.abs(low + high) / 2 + jnp.abs(high - low)).sum(axis=-1)
