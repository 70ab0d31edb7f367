"""Generalized IoU as a loss: unlike that of IoU, its gradient is not zero for boxes that do not overlap."""

from __future__ import annotations

import jax

from imgloc.interfaces import Loss
from imgloc.losses.geometry.similarities import BOX_OUTPUTS, BOX_TRUTHS, largest_object_loss
from imgloc.types import Batch, Outputs


def loss(outputs: Outputs, batch: Batch, *, output: str = "box") -> jax.Array:
    """[b] in [0, 2]: 1 - GIoU with the largest object (arXiv:1902.09630); 0 for an image without an object.

    `output` names the predicted boxes (b, 4).
    """
    return largest_object_loss("giou", outputs[output], batch)


LOSS = Loss(loss, outputs=BOX_OUTPUTS, truths=BOX_TRUTHS)
