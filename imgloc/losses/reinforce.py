"""The policy's gradient: places that led to a right answer become likelier than those that did not."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.errors import UserError
from imgloc.types import Batch, Outputs

SIGNED = True  # a loss that may be below 0


def loss(outputs: Outputs, batch: Batch, *, baseline: float = 1.0) -> jax.Array:
    """[b]: REINFORCE (Williams, 1992): minus each drawn place's log-probability times its advantage, added up; below 0 where that pays.

    The reward is 1 for a right class, else 0, for all of a path's places; the advantage is what it exceeds the model's baseline by. Plus
    `baseline` times the baselines' squared errors. Needs the features log_probability (b, s) and baselines (b, s) of
    `imgloc.models.ram`.
    """
    features = outputs.get("features", {})
    if not {"log_probability", "baselines"} <= set(features):
        raise UserError("loss 'reinforce' needs a policy's log_probability and baselines; possible: model.name=ram with policy=learned")
    reward_b = (outputs["logits"].argmax(axis=-1) == batch.label_b).astype(jnp.float32)
    error_bxs = reward_b[:, None] - features["baselines"]
    gained_bxs = jax.lax.stop_gradient(error_bxs) * features["log_probability"]
    loss_b: jax.Array = (baseline * error_bxs**2 - gained_bxs).sum(axis=-1)
    return loss_b
