"""The matching of ReInspect, in which early steps are preferred (Stewart et al., 2016, arXiv:1506.04878, section 2.2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.losses.geometry.set_targets import SetPredictions, cheapest_steps
from imgloc.losses.matchings.hungarian import l1_distance
from imgloc.types import Array

LARGEST_DISTANCE = 4.0  # of two boxes in [0, 1]


def match(predictions: SetPredictions, boxes_nx4: Array, labels_n: Array, mask_n: Array) -> jax.Array:
    """Returns the step of each object, (n,), that minimizes the sum of triples, which are compared lexicographically.

    A triple is: whether the center of the predicted box is outside of the object, the number of the step, and the L1 distance of the
    boxes. So the objects that some step finds are given to such a step, and the others to the first steps that are left; a decoder
    that stops early therefore loses nothing. The class does not count.

    A triple is one float32, so that distances are compared with a resolution of about 5e-7 n^2 m: 0.0005 for 10 objects and 10 steps.
    For 100 of each it is 0.5, and the distance decides almost nothing.
    """
    boxes_mx4 = predictions.boxes_mx4
    n, m = len(boxes_nx4), len(boxes_mx4)
    center_mx2 = (boxes_mx4[:, :2] + boxes_mx4[:, 2:]) / 2
    inside_nxm = ((center_mx2 >= boxes_nx4[:, None, :2]) & (center_mx2 <= boxes_nx4[:, None, 2:])).all(axis=-1)
    distance_nxm = l1_distance(boxes_mx4, boxes_nx4[:, None]) / (LARGEST_DISTANCE * n + 1)  # the sum over the objects is below 1
    return cheapest_steps(jnp.where(inside_nxm, 0, n * m + 1) + jnp.arange(m) + distance_nxm, mask_n)
