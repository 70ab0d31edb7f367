"""Cross-entropy of the probability that an object can be seen in a frame."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from imgloc.interfaces import Loss
from imgloc.losses.track_box import tracks_of
from imgloc.types import Batch, Outputs

SEEN = 0.25  # visible share from which an object counts as seen


def loss(outputs: Outputs, batch: Batch) -> jax.Array:
    """[b]: the mean over the frames after the first one, and over objects that the first frame has."""
    seen = tracks_of(batch).visible[:, 1:] >= SEEN
    counted = jnp.broadcast_to(batch.object_mask_bxn[:, None], seen.shape)
    entropy = optax.sigmoid_binary_cross_entropy(outputs["track_logits"][:, 1:], seen)
    return jnp.where(counted, entropy, 0.0).sum(axis=(1, 2)) / jnp.maximum(counted.sum(axis=(1, 2)), 1)


LOSS = Loss(loss, outputs={"track_logits": ("b", "t", "n")}, truths=("tracks", "object_mask_bxn"))
