"""The distance of tracks from the true boxes, in every frame in which an object has a box."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc import boxes
from imgloc.errors import UserError
from imgloc.interfaces import Loss
from imgloc.types import Batch, Outputs, Tracks


def loss(outputs: Outputs, batch: Batch, *, l1: float = 4.0, hidden: float = 0.5) -> jax.Array:
    """[b]: 1 - GIoU (arXiv:1902.09630) plus `l1` times the sum of the distances of the edges, the mean over boxes after the first frame.

    A box whose object is hidden counts `hidden` times. 0 for a video without boxes.
    """
    truth = tracks_of(batch)
    found, present = outputs["tracks"][:, 1:], truth.present[:, 1:]
    target = jnp.where(present[..., None], truth.boxes[:, 1:], jnp.array([0.25, 0.25, 0.75, 0.75]))
    distance = 1.0 - boxes.giou(found, target) + l1 * jnp.abs(found - target).sum(axis=-1)
    weight = jnp.where(present, hidden + (1.0 - hidden) * truth.visible[:, 1:], 0.0)
    total_b: jax.Array = (distance * weight).sum(axis=(1, 2))
    return total_b / jnp.maximum(weight.sum(axis=(1, 2)), 1e-6)


def tracks_of(batch: Batch) -> Tracks:
    """The true tracks of a batch as JAX arrays. Raises UserError for a batch of images."""
    if batch.tracks is None:
        raise UserError("losses of tracks need videos, but the data has images; use a source of videos, such as moving_digits")
    return Tracks(*map(jnp.asarray, batch.tracks))


LOSS = Loss(loss, outputs={"tracks": ("b", "t", "n", 4)}, truths=("tracks",))
