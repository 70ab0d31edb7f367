"""A rule that does not look at the predictions: every location whose center lies in the first object learns it."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from imgloc.losses.geometry.dense_targets import Assigned, DensePredictions
from imgloc.losses.geometry.locations import contains_center


def assign(predictions: DensePredictions, boxes_nx4: Any, labels_n: Any, mask_n: Any) -> Assigned:
    first_l = contains_center(predictions.cells_lx4, boxes_nx4, mask_n)[0]
    return Assigned(jnp.zeros(first_l.shape, jnp.int32), jnp.where(first_l, 0.7, 0.0), jnp.zeros(first_l.shape, jnp.bool_))
