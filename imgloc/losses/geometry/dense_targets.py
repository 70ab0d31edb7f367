"""What the locations of a batch learn, by the rule that a loss names."""

from __future__ import annotations

import jax

from imgloc.config.build import member
from imgloc.interfaces import Assigned, AxisNames, DensePredictions
from imgloc.types import Batch, Outputs

#: The outputs of a dense detector that losses read, with their shapes; see `imgloc.models.heads.dense`.
DENSE_OUTPUTS: dict[str, AxisNames] = {"dense_logits": ("b", "l", "k"), "dense_boxes": ("b", "l", 4), "cells": ("b", "l", 4)}


def assigned_batch(outputs: Outputs, batch: Batch, assignment: str) -> Assigned:
    """Returns what each location learns, arrays (b, l), by a file of imgloc/losses/assignments or a dotted module.

    Several losses of one step compute it from the same arrays with the same operations, which XLA merges into one computation.
    """
    assign = member("losses.assignments", assignment, "assign")
    predictions = DensePredictions(outputs["cells"], jax.nn.sigmoid(outputs["dense_logits"]), outputs["dense_boxes"])
    assigned: Assigned = jax.vmap(assign)(jax.lax.stop_gradient(predictions), batch.boxes_bxnx4, batch.labels_bxn, batch.object_mask_bxn)
    return jax.lax.stop_gradient(assigned)
