"""What the locations of a batch learn, by the rule that a loss names."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax

from imgloc.config.build import member
from imgloc.interfaces import AxisNames
from imgloc.types import Array, Batch, Outputs

#: The outputs of a dense detector that losses read, with their shapes; see `imgloc.models.heads.dense`.
DENSE_OUTPUTS: dict[str, AxisNames] = {"dense_logits": ("b", "l", "k"), "dense_boxes": ("b", "l", 4), "cells": ("b", "l", 4)}


class DensePredictions(NamedTuple):
    """What a dense detector predicts for one image, at l locations."""

    cells_lx4: Array  # the part of the image that each location stands for, xyxy in [0, 1]
    scores_lxk: Array  # in [0, 1]
    boxes_lx4: Array


class Assigned(NamedTuple):
    """What each location of an image learns."""

    object_l: Array  # the index of its object
    quality_l: Array  # the target of the score of that object's class, in [0, 1]; 0: no object
    ignored_l: Array  # whether it learns nothing at all


#: A rule that assigns objects to locations (`assign` of a file in imgloc/losses/assignments): predictions, boxes_nx4, labels_n and
#: object_mask_n of one image -> what its locations learn. It is pure, its shapes are static, and no gradient passes through it.
Assign: TypeAlias = Callable[[DensePredictions, Array, Array, Array], Assigned]


def assigned_batch(outputs: Outputs, batch: Batch, assignment: str) -> Assigned:
    """Returns what each location learns, arrays (b, l), by a file of imgloc/losses/assignments or a dotted module.

    Several losses of one step compute it from the same arrays with the same operations, which XLA merges into one computation.
    """
    assign = member("losses.assignments", assignment, "assign")
    predictions = DensePredictions(outputs["cells"], jax.nn.sigmoid(outputs["dense_logits"]), outputs["dense_boxes"])
    assigned: Assigned = jax.vmap(assign)(jax.lax.stop_gradient(predictions), batch.boxes_bxnx4, batch.labels_bxn, batch.object_mask_bxn)
    return jax.lax.stop_gradient(assigned)
