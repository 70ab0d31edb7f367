"""The fixed order from large to small: each step learns the object of its rank by area."""

from __future__ import annotations

import jax

from imgloc import boxes as box_arithmetic
from imgloc.losses.geometry.set_targets import SetPredictions, rank_of
from imgloc.types import Array


def match(predictions: SetPredictions, boxes_nx4: Array, labels_n: Array, mask_n: Array) -> jax.Array:
    """Returns the step of each object, (n,): the number of objects that are larger."""
    return rank_of(-box_arithmetic.area(boxes_nx4), mask_n)
