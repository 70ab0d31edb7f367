"""Supervision of a policy of attention: the distance of its places to the center of the object."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.interfaces import Loss
from imgloc.types import Batch, Outputs


def loss(outputs: Outputs, batch: Batch, *, output: str = "means") -> jax.Array:
    """[b] in squared image sides: mean squared distance of the places to the center of the largest object; 0 without an object.

    Images without a box, such as those of a partly annotated data set, train the policy by its reward alone. `output` names the feature
    (b, c, 2) with the places, x and y in [0, 1].
    """
    places_bxcx2 = outputs["features"][output]
    center_bx2 = (batch.boxes_bxnx4[:, 0, :2] + batch.boxes_bxnx4[:, 0, 2:]) / 2
    squared_distance_b = ((places_bxcx2 - center_bx2[:, None]) ** 2).sum(axis=-1).mean(axis=-1)
    return jnp.where(batch.object_mask_bxn[:, 0], squared_distance_b, 0.0)


LOSS = Loss(loss, outputs={"features/{output}": ("b", "c", 2)}, truths=("boxes_bxnx4", "object_mask_bxn"))
