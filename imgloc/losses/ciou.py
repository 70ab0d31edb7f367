"""Complete IoU as a loss: distance IoU with a term for different aspect ratios, in pixels of the model's input."""

from __future__ import annotations

import jax

from imgloc.interfaces import Loss
from imgloc.losses.geometry.similarities import BOX_OUTPUTS, BOX_TRUTHS, largest_object_loss
from imgloc.types import Batch, Outputs


def loss(outputs: Outputs, batch: Batch, *, output: str = "box") -> jax.Array:
    """[b] at least 0: 1 - CIoU with the largest object (arXiv:1911.08287, equation 10); 0 for an image without an object.

    `output` names the predicted boxes (b, 4).
    """
    return largest_object_loss("ciou", outputs[output], batch)


LOSS = Loss(loss, outputs=BOX_OUTPUTS, truths=BOX_TRUTHS)
