"""The boxes of a set decoder: L1 distance and generalized IoU of the steps that learn an object."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc import boxes as box_arithmetic
from imgloc.interfaces import Loss
from imgloc.losses.geometry.set_targets import SET_OUTPUTS, SET_TRUTHS, matched_batch
from imgloc.losses.matchings.hungarian import GIOU_WEIGHT, L1_WEIGHT, l1_distance
from imgloc.types import Batch, Outputs


def loss(
    outputs: Outputs, batch: Batch, *, matching: str = "hungarian", l1_weight: float = L1_WEIGHT, giou_weight: float = GIOU_WEIGHT
) -> jax.Array:
    """[b]: the mean over the objects of an image of `l1_weight` L1 + `giou_weight` (1 - GIoU); 0 without any.

    L1 is that of centers, widths and heights in image sides (DETR, arXiv:2005.12872, section 3.1). `matching` is a file of
    imgloc/losses/matchings.
    """
    matched = matched_batch(outputs, batch, matching)
    target_bxmx4 = jnp.take_along_axis(jnp.asarray(batch.boxes_bxnx4), matched.object_m[..., None], axis=1)
    # Steps without an object are compared with their own box, where the gradient of the distance would be that of padding.
    boxes_bxmx4 = outputs["object_boxes"]
    target_bxmx4 = jnp.where(matched.has_object_m[..., None], target_bxmx4, jax.lax.stop_gradient(boxes_bxmx4))
    distance_bxm = l1_weight * l1_distance(boxes_bxmx4, target_bxmx4)
    distance_bxm += giou_weight * (1 - box_arithmetic.giou(boxes_bxmx4, target_bxmx4))
    count_b = jnp.maximum(matched.has_object_m.sum(axis=1), 1)
    return jnp.where(matched.has_object_m, distance_bxm, 0.0).sum(axis=1) / count_b


LOSS = Loss(loss, outputs=SET_OUTPUTS, truths=SET_TRUTHS, shared_options=("matching",))
