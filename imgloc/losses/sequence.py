"""Cross-entropy of a sequence of labels: those of the objects of an image from left to right."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from imgloc import boxes
from imgloc.errors import UserError
from imgloc.interfaces import Loss
from imgloc.types import Batch, Outputs


def loss(outputs: Outputs, batch: Batch) -> jax.Array:
    """[b] in nats: mean over the objects of an image, at most as many as the output `sequence` (b, n, k) is long; 0 without an object.

    Of an image with more objects than `data.max_objects`, only the largest ones, which are kept, are part of the target.
    """
    logits_bxnxk = outputs["sequence"]
    length, kept = logits_bxnxk.shape[1], batch.labels_bxn.shape[1]
    if kept < length:  # the last labels would never be trained, nor would any metric show that they are wrong
        raise UserError(f"data.max_objects must be at least {length}, the number of labels of the model, got {kept}")
    labels_bxn, mask_bxn = labels_in_reading_order(batch, length)
    cross_entropy_bxn = optax.softmax_cross_entropy_with_integer_labels(logits_bxnxk, labels_bxn)
    mean_b: jax.Array = jnp.where(mask_bxn, cross_entropy_bxn, 0.0).sum(axis=1) / jnp.maximum(mask_bxn.sum(axis=1), 1)
    return mean_b


def labels_in_reading_order(batch: Batch, count: int) -> tuple[jax.Array, jax.Array]:
    """Labels (b, count) of the first objects of each image from left to right, and their mask (b, count): False for padding."""
    mask_bxn = jnp.asarray(batch.object_mask_bxn)
    order_bxc = boxes.reading_order(jnp.where(mask_bxn[..., None], jnp.asarray(batch.boxes_bxnx4), jnp.inf))[:, :count]
    labels_bxc, mask_bxc = (jnp.take_along_axis(jnp.asarray(a), order_bxc, axis=1) for a in (batch.labels_bxn, mask_bxn))
    padding = ((0, 0), (0, count - order_bxc.shape[1]))
    return jnp.pad(labels_bxc, padding), jnp.pad(mask_bxc, padding)


LOSS = Loss(loss, outputs={"sequence": ("b", "n", "k")}, truths=("boxes_bxnx4", "labels_bxn", "object_mask_bxn"))
