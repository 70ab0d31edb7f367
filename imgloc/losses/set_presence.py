"""Whether a step of a set decoder names an object: what teaches a recurrent decoder when to stop."""

from __future__ import annotations

import jax
import optax

from imgloc.interfaces import Loss
from imgloc.losses.geometry.set_targets import SET_OUTPUTS, SET_TRUTHS, matched_batch
from imgloc.types import Batch, Outputs


def loss(outputs: Outputs, batch: Batch, *, matching: str = "hungarian") -> jax.Array:
    """[b] in nats: the mean binary cross-entropy over all steps, whose target is 1 where a step learns an object.

    `matching` is a file of imgloc/losses/matchings.
    """
    target_bxm = matched_batch(outputs, batch, matching).has_object_m.astype(outputs["object_presence"].dtype)
    mean_b: jax.Array = optax.sigmoid_binary_cross_entropy(outputs["object_presence"], target_bxm).mean(axis=1)
    return mean_b


LOSS = Loss(loss, outputs=SET_OUTPUTS, truths=SET_TRUTHS, shared_options=("matching",))
