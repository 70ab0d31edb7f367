"""The fixed order from left to right: each step learns the object of its rank by the center along x."""

from __future__ import annotations

import jax

from imgloc.losses.geometry.set_targets import SetPredictions, rank_of
from imgloc.types import Array


def match(predictions: SetPredictions, boxes_nx4: Array, labels_n: Array, mask_n: Array) -> jax.Array:
    """Returns the step of each object, (n,): the number of objects to the left of it."""
    return rank_of(boxes_nx4[:, 0] + boxes_nx4[:, 2], mask_n)
