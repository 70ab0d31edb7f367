"""Cross-entropy of the probability that an object can be seen in a frame."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.interfaces import Loss
from imgloc.losses.track_box import tracks_of
from imgloc.types import Batch, Outputs

SEEN = 0.25  # visible share from which an object counts as seen
SMALLEST = 1e-6  # probability


def loss(outputs: Outputs, batch: Batch) -> jax.Array:
    """[b]: the mean over the frames after the first one, and over objects that the first frame has."""
    truth = tracks_of(batch)
    score = jnp.clip(outputs["track_scores"][:, 1:], SMALLEST, 1.0 - SMALLEST)
    seen = truth.visible[:, 1:] >= SEEN
    counted = jnp.broadcast_to(batch.object_mask_bxn[:, None], seen.shape)
    entropy = jnp.where(counted, -jnp.log(jnp.where(seen, score, 1.0 - score)), 0.0)
    return entropy.sum(axis=(1, 2)) / jnp.maximum(counted.sum(axis=(1, 2)), 1)


LOSS = Loss(loss, outputs={"track_scores": ("b", "t", "n")}, truths=("tracks", "object_mask_bxn"))
