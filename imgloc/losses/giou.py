"""Generalized IoU as a loss: unlike that of IoU, its gradient is not zero for boxes that do not overlap."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc import boxes
from imgloc.interfaces import Loss
from imgloc.types import Batch, Outputs


def loss(outputs: Outputs, batch: Batch, *, output: str = "box") -> jax.Array:
    """[b] in [0, 2]: 1 - GIoU with the largest object (arXiv:1902.09630); 0 for an image without an object.

    `output` names the predicted boxes (b, 4).
    """
    similarity_b = boxes.giou(outputs[output], batch.boxes_bxnx4[:, 0])
    return jnp.where(batch.object_mask_bxn[:, 0], 1.0 - similarity_b, 0.0)


LOSS = Loss(loss, outputs={"{output}": ("b", 4)}, truths=("boxes_bxnx4", "object_mask_bxn"))
