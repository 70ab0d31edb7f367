"""The policy's gradient: places that led to a right answer become likelier than those that did not."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from imgloc.errors import UserError, chosen
from imgloc.types import Batch, Outputs

SIGNED = True  # a loss that may be below 0


def _probability(logits_bxk: jax.Array, label_b: jax.Array) -> jax.Array:
    return jnp.take_along_axis(jax.nn.softmax(logits_bxk), label_b[:, None], axis=-1)[:, 0]


REWARDS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "right": lambda logits_bxk, label_b: (logits_bxk.argmax(axis=-1) == label_b).astype(jnp.float32),
    "probability": _probability,
}


def loss(outputs: Outputs, batch: Batch, *, reward: str = "right", baseline: float = 1.0) -> jax.Array:
    """[b]: REINFORCE (Williams, 1992): minus each drawn place's log-probability times its advantage, added up; below 0 where that pays.

    The reward is 1 for a right class, else 0, for all of a path's places; with `reward` "probability" it is the probability of the
    right class: what that reward would be on average if the class were drawn. The advantage is what it exceeds the model's baseline
    by. Plus `baseline` times the baselines' squared errors. Needs the features log_probability (b, s) and baselines (b, s) of
    `imgloc.models.ram`.
    """
    rewarded = chosen("reward (losses.reinforce.reward)", reward, REWARDS)
    features = outputs.get("features", {})
    if not {"log_probability", "baselines"} <= set(features):
        raise UserError("loss 'reinforce' needs a policy's log_probability and baselines; possible: model.name=ram with policy=learned")
    reward_b = jax.lax.stop_gradient(rewarded(outputs["logits"].astype(jnp.float32), batch.label_b))
    error_bxs = reward_b[:, None] - features["baselines"]
    gained_bxs = jax.lax.stop_gradient(error_bxs) * features["log_probability"]
    loss_b: jax.Array = (baseline * error_bxs**2 - gained_bxs).sum(axis=-1)
    return loss_b
