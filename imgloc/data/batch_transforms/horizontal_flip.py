"""Random horizontal flips of images and their boxes, on the device."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.data.transforms.options import check_number
from imgloc.types import Array, Batch


def transform(batch: Batch, key: jax.Array, *, probability: float = 0.5) -> Batch:
    """The batch with each image flipped left to right with a probability, together with its boxes and its content box.

    Boxes of absent objects do not change. Raises UserError unless the probability is from 0 to 1.
    """
    check_number("data.batch_transforms.horizontal_flip.probability", probability, 0.0, 1.0)
    flip_b = jax.random.bernoulli(key, probability, batch.label_b.shape)
    images = jnp.where(flip_b[:, None, None, None], batch.images_bxhxwxc[:, :, ::-1], batch.images_bxhxwxc)
    flip_bxn = flip_b[:, None] & batch.object_mask_bxn
    return batch._replace(
        images_bxhxwxc=images,
        boxes_bxnx4=jnp.where(flip_bxn[..., None], _flipped(batch.boxes_bxnx4), batch.boxes_bxnx4),
        content_bx4=jnp.where((flip_b & batch.example_mask_b)[:, None], _flipped(batch.content_bx4), batch.content_bx4),
    )


def _flipped(boxes: Array) -> jax.Array:
    """Boxes (..., 4) on the flipped image."""
    x0, y0, x1, y1 = jnp.moveaxis(jnp.asarray(boxes), -1, 0)
    return jnp.stack([1 - x1, y0, 1 - x0, y1], axis=-1)
