"""IoU as a loss. Its gradient is zero for boxes that do not overlap, so that a model cannot learn from these."""

from __future__ import annotations

import jax

from imgloc.interfaces import Loss
from imgloc.losses.geometry.similarities import BOX_OUTPUTS, BOX_TRUTHS, largest_object_loss
from imgloc.types import Batch, Outputs


def loss(outputs: Outputs, batch: Batch, *, output: str = "box") -> jax.Array:
    """[b] in [0, 1]: 1 - IoU with the largest object (arXiv:1608.01471, in the linear form); 0 for an image without an object.

    `output` names the predicted boxes (b, 4).
    """
    return largest_object_loss("iou", outputs[output], batch)


LOSS = Loss(loss, outputs=BOX_OUTPUTS, truths=BOX_TRUTHS)
