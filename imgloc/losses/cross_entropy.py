"""Cross-entropy of the image's class."""

from __future__ import annotations

import jax
import optax

from imgloc.interfaces import Loss
from imgloc.types import Batch, Outputs


def loss(outputs: Outputs, batch: Batch, *, output: str = "logits", label_smoothing: float = 0.0) -> jax.Array:
    """[b] in nats: -sum_k q_k log softmax(logits)_k of an output (b, k).

    q are the soft labels of a batch transform if there are any, else the one-hot label, mixed with `label_smoothing` of a uniform
    distribution (Szegedy et al., 2016, arXiv:1512.00567, section 7).
    """
    logits_bxk = outputs[output]
    target_bxk = batch.soft_label_bxk
    if target_bxk is None:
        target_bxk = jax.nn.one_hot(batch.label_b, logits_bxk.shape[-1], dtype=logits_bxk.dtype)
    loss_b: jax.Array = optax.softmax_cross_entropy(logits_bxk, optax.smooth_labels(target_bxk, label_smoothing))
    return loss_b


LOSS = Loss(loss, outputs={"{output}": ("b", "k")}, truths=("label_b", "soft_label_bxk"), inputs=("label_smoothing",))
