"""Similarities of boxes that losses can learn, by name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TypeAlias

import jax
import jax.numpy as jnp

from imgloc import boxes
from imgloc.interfaces import AxisNames
from imgloc.types import Array, Batch

Similarity: TypeAlias = Callable[[jax.Array, jax.Array], jax.Array]

#: DIoU and CIoU depend on the unit, which should be square in the image: a pixel, or a cell of a grid.
SIMILARITIES: Mapping[str, Similarity] = {
    "iou": boxes.iou,
    "giou": boxes.giou,
    "diou": boxes.diou,
    "ciou": functools.partial(boxes.ciou, constant=jax.lax.stop_gradient),
}
OF_ANY_UNIT = ("iou", "giou")
#: What the losses of one predicted box read of the model and of the batch.
BOX_OUTPUTS: Mapping[str, AxisNames] = {"{output}": ("b", 4)}
BOX_TRUTHS = ("boxes_bxnx4", "object_mask_bxn")


def largest_object_loss(similarity: str, boxes_bx4: Array, batch: Batch) -> jax.Array:
    """[b]: 1 minus the similarity, a key of `SIMILARITIES`, to the largest object; 0 for an image without an object."""
    boxes_bx4, truth_bx4 = jnp.asarray(boxes_bx4), jnp.asarray(batch.boxes_bxnx4[:, 0])
    if similarity not in OF_ANY_UNIT:
        height, width = batch.images_bxhxwxc.shape[1:3]
        boxes_bx4, truth_bx4 = (boxes.to_pixels(each, width, height) for each in (boxes_bx4, truth_bx4))
    return jnp.where(batch.object_mask_bxn[:, 0], 1.0 - SIMILARITIES[similarity](boxes_bx4, truth_bx4), 0.0)
