"""Supervision of where to look: what a policy says is drawn to the middle of the object."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.interfaces import Loss
from imgloc.types import Batch, Outputs


def loss(outputs: Outputs, batch: Batch, *, output: str = "means") -> jax.Array:
    """[b] in squared sides of the image: mean squared distance of the policy's places to the first object's center; 0 without one.

    Images without a box, as where only a share of them is annotated, leave the policy to its reward. `output` names the feature
    (b, s, 2) that holds the places, x and y in [0, 1].
    """
    places_bxcx2 = outputs["features"][output]
    center_bx2 = (batch.boxes_bxnx4[:, 0, :2] + batch.boxes_bxnx4[:, 0, 2:]) / 2
    squared_b = ((places_bxcx2 - center_bx2[:, None]) ** 2).sum(axis=-1).mean(axis=-1)
    return jnp.where(batch.object_mask_bxn[:, 0], squared_b, 0.0)


LOSS = Loss(loss, outputs={"features/{output}": ("b", "c", 2)}, truths=("boxes_bxnx4", "object_mask_bxn"))
