"""Cross-entropy of the image's class."""

from __future__ import annotations

import jax
import optax

from imgloc.interfaces import Loss
from imgloc.types import Batch, Outputs


def loss(outputs: Outputs, batch: Batch, *, label_smoothing: float = 0.0) -> jax.Array:
    """[b] nats: -sum_k q_k log softmax(logits)_k, q = the soft labels where a batch transform has made them, else one-hot,
    mixed with `label_smoothing` of a uniform distribution.

    Label smoothing: Szegedy et al., 2016, arXiv:1512.00567, section 7.
    """
    logits_bxk = outputs["logits"]
    truth_bxk = batch.soft_label_bxk
    if truth_bxk is None:
        truth_bxk = jax.nn.one_hot(batch.label_b, logits_bxk.shape[-1], dtype=logits_bxk.dtype)
    per_example: jax.Array = optax.softmax_cross_entropy(logits_bxk, optax.smooth_labels(truth_bxk, label_smoothing))
    return per_example


LOSS = Loss(loss, outputs={"logits": ("b", "k")}, truths=("label_b", "soft_label_bxk"))
