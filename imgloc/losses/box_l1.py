"""Mean absolute error of the four box edges."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.interfaces import Loss
from imgloc.types import Batch, Outputs


def loss(outputs: Outputs, batch: Batch, *, output: str = "box") -> jax.Array:
    """[b] in image sides: mean absolute error of the edges against the largest object; 0 for an image without an object.

    `output` names the predicted boxes (b, 4).
    """
    error_b = jnp.abs(outputs[output] - batch.boxes_bxnx4[:, 0]).mean(axis=-1)
    return jnp.where(batch.object_mask_bxn[:, 0], error_b, 0.0)


LOSS = Loss(loss, outputs={"{output}": ("b", 4)}, truths=("boxes_bxnx4", "object_mask_bxn"))
