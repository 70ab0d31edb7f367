"""Cross-entropy of a sequence of labels: those of the image's objects, read from left to right."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from imgloc import boxes
from imgloc.errors import UserError
from imgloc.interfaces import Loss
from imgloc.types import Batch, Outputs


def loss(outputs: Outputs, batch: Batch) -> jax.Array:
    """[b] nats: mean over an image's objects, up to as many as the output `sequence` (b, s, k) has places; 0 without an object.

    Of an image with more objects than data.max_objects, the largest that are kept are taught, as if they were all.
    """
    logits_bxsxk = outputs["sequence"]
    places, kept = logits_bxsxk.shape[1], batch.labels_bxn.shape[1]
    if kept < places:  # places that are never taught; and rows would not tell that they are wrong
        raise UserError(f"the model says {places} labels, data.max_objects keeps {kept} of an image; possible: data.max_objects={places}")
    labels_bxs, told_bxs = in_reading_order(batch, logits_bxsxk.shape[1])
    each_bxs = optax.softmax_cross_entropy_with_integer_labels(logits_bxsxk, labels_bxs)
    mean_b: jax.Array = jnp.where(told_bxs, each_bxs, 0.0).sum(axis=1) / jnp.maximum(told_bxs.sum(axis=1), 1)
    return mean_b


def in_reading_order(batch: Batch, count: int) -> tuple[jax.Array, jax.Array]:
    """Labels (b, count) of each image's first objects from left to right, and whether there are as many (b, count)."""
    mask_bxn = jnp.asarray(batch.object_mask_bxn)
    order_bxn = boxes.reading_order(jnp.where(mask_bxn[..., None], jnp.asarray(batch.boxes_bxnx4), jnp.inf))[:, :count]
    labels_bxs, told_bxs = (jnp.take_along_axis(jnp.asarray(a), order_bxn, axis=1) for a in (batch.labels_bxn, mask_bxn))
    missing = ((0, 0), (0, count - order_bxn.shape[1]))
    return jnp.pad(labels_bxs, missing), jnp.pad(told_bxs, missing)


LOSS = Loss(loss, outputs={"sequence": ("b", "n", "k")}, truths=("boxes_bxnx4", "labels_bxn", "object_mask_bxn"))
