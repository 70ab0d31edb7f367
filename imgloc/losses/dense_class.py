"""The classes of a dense detector: the quality focal loss (Li et al., 2020, arXiv:2006.04388, equation 2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from imgloc.interfaces import Loss
from imgloc.losses.geometry.dense_targets import DENSE_OUTPUTS, assigned_batch
from imgloc.types import Batch, Outputs


def loss(outputs: Outputs, batch: Batch, *, assignment: str = "task_aligned", gamma: float = 2.0) -> jax.Array:
    """[b]: `|y - p|^gamma` times the binary cross-entropy of p and y, over all locations and classes, per unit of quality.

    p is the sigmoid of the logit, and y the quality that the assignment gives the class of a location's object, 0 for other classes.
    With qualities of 0 and 1 this is the focal loss (Lin et al., 2017, arXiv:1708.02002) without its weight alpha. The sum over an image
    is divided by the sum of its qualities, or by 1 where that is less. `assignment` is a file of imgloc/losses/assignments.
    """
    assigned = assigned_batch(outputs, batch, assignment)
    logits_bxlxk = outputs["dense_logits"]
    label_bxl = jnp.take_along_axis(jnp.asarray(batch.labels_bxn), assigned.object_l, axis=1)
    target_bxlxk = jax.nn.one_hot(label_bxl, logits_bxlxk.shape[-1]) * assigned.quality_l[..., None]
    weight_bxlxk = jnp.abs(target_bxlxk - jax.nn.sigmoid(logits_bxlxk)) ** gamma
    loss_bxlxk = weight_bxlxk * optax.sigmoid_binary_cross_entropy(logits_bxlxk, target_bxlxk)
    sum_b = jnp.where(assigned.ignored_l, 0.0, loss_bxlxk.sum(axis=-1)).sum(axis=1)
    return sum_b / jnp.maximum(assigned.quality_l.sum(axis=1), 1.0)


LOSS = Loss(loss, outputs=DENSE_OUTPUTS, truths=("boxes_bxnx4", "labels_bxn", "object_mask_bxn"), shared_options=("assignment",))
