"""The boxes of a dense detector: a kind of IoU at the locations that learn an object."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.errors import look_up
from imgloc.interfaces import Loss
from imgloc.losses.geometry.dense_targets import DENSE_OUTPUTS, assigned_batch
from imgloc.losses.geometry.similarities import SIMILARITIES
from imgloc.types import Batch, Outputs


def loss(outputs: Outputs, batch: Batch, *, assignment: str = "task_aligned", similarity: str = "giou") -> jax.Array:
    """[b]: the mean of 1 - similarity over the locations that learn an object, weighted by their quality; 0 without any.

    `assignment` is a file of imgloc/losses/assignments, that of `dense_class`; `similarity` is iou, giou, diou or ciou.
    """
    measure = look_up("similarity of boxes (losses.dense_box.similarity)", similarity, SIMILARITIES)
    assigned = assigned_batch(outputs, batch, assignment)
    target_bxlx4 = jnp.take_along_axis(jnp.asarray(batch.boxes_bxnx4), assigned.object_l[..., None], axis=1)
    # In sides of a cell, which is a square in pixels: DIoU and CIoU depend on the shape of the image in other units.
    side_bxlx4 = jnp.tile(outputs["cells"][..., 2:] - outputs["cells"][..., :2], 2)
    distance_bxl = 1 - measure(outputs["dense_boxes"] / side_bxlx4, target_bxlx4 / side_bxlx4)
    quality_bxl = assigned.quality_l
    return jnp.where(quality_bxl > 0, distance_bxl * quality_bxl, 0.0).sum(axis=1) / jnp.maximum(quality_bxl.sum(axis=1), 1.0)


LOSS = Loss(loss, outputs=DENSE_OUTPUTS, truths=("boxes_bxnx4", "labels_bxn", "object_mask_bxn"), shared_options=("assignment",))
