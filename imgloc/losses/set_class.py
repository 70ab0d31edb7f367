"""The classes of a set decoder: cross-entropy of the steps that learn an object."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from imgloc.interfaces import Loss
from imgloc.losses.geometry.set_targets import SET_OUTPUTS, SET_TRUTHS, matched_batch
from imgloc.types import Batch, Outputs


def loss(outputs: Outputs, batch: Batch, *, matching: str = "hungarian") -> jax.Array:
    """[b] in nats: the mean over the objects of an image; 0 without any. `matching` is a file of imgloc/losses/matchings."""
    matched = matched_batch(outputs, batch, matching)
    label_bxm = jnp.take_along_axis(jnp.asarray(batch.labels_bxn), matched.object_m, axis=1)
    cross_entropy_bxm = optax.softmax_cross_entropy_with_integer_labels(outputs["object_logits"], label_bxm)
    count_b = jnp.maximum(matched.has_object_m.sum(axis=1), 1)
    return jnp.where(matched.has_object_m, cross_entropy_bxm, 0.0).sum(axis=1) / count_b


LOSS = Loss(loss, outputs=SET_OUTPUTS, truths=SET_TRUTHS, shared_options=("matching",))
