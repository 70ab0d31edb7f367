"""The policy's gradient: places that led to a right answer become likelier than those that did not."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from imgloc.errors import UserError, chosen
from imgloc.losses.sequence import in_reading_order
from imgloc.types import Batch, Outputs

SIGNED = True  # a loss that may be below 0


def _probability(logits_bxnxk: jax.Array, label_bxn: jax.Array) -> jax.Array:
    return jnp.take_along_axis(jax.nn.softmax(logits_bxnxk), label_bxn[..., None], axis=-1)[..., 0]


REWARDS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "right": lambda logits_bxnxk, label_bxn: (logits_bxnxk.argmax(axis=-1) == label_bxn).astype(jnp.float32),
    "probability": _probability,
}


def loss(outputs: Outputs, batch: Batch, *, reward: str = "right", baseline: float = 1.0) -> jax.Array:
    """[b]: REINFORCE (Williams, 1992): minus each drawn place's log-probability times its advantage, added up; below 0 where that pays.

    The reward is 1 for a right class, else 0, for all of a path's places; with `reward` "probability" it is the probability of the
    right class: what that reward would be on average if the class were drawn. Of a sequence of labels each has a reward of its own,
    and a place gets those of the label that it is chosen for and of later ones (Ba et al., 2015, arXiv:1412.7755). The advantage is
    what that exceeds the model's baseline by. Plus `baseline` times the baselines' squared errors. Needs the features log_probability
    (b, s) and baselines (b, s) of `imgloc.models.ram`.
    """
    rewarded = chosen("reward (losses.reinforce.reward)", reward, REWARDS)
    features = outputs.get("features", {})
    if not {"log_probability", "baselines"} <= set(features):
        raise UserError("loss 'reinforce' needs a policy's log_probability and baselines; possible: model.name=ram with policy=learned")
    if "sequence" in outputs:
        logits_bxnxk = outputs["sequence"]
        label_bxn, told_bxn = in_reading_order(batch, logits_bxnxk.shape[1])
    else:
        logits_bxnxk, label_bxn, told_bxn = outputs["logits"][:, None], jnp.asarray(batch.label_b)[:, None], jnp.ones((1, 1))
    reward_bxn = rewarded(logits_bxnxk.astype(jnp.float32), label_bxn) * told_bxn
    to_come_bxn = jnp.cumsum(reward_bxn[:, ::-1], axis=1)[:, ::-1]
    baselines_bxs = features["baselines"]
    error_bxs = jax.lax.stop_gradient(to_come_bxn[:, _label_of(baselines_bxs.shape[1], label_bxn.shape[1])]) - baselines_bxs
    gained_bxs = jax.lax.stop_gradient(error_bxs) * features["log_probability"]
    loss_b: jax.Array = (baseline * error_bxs**2 - gained_bxs).sum(axis=-1)
    return loss_b


def _label_of(places: int, labels: int) -> list[int]:
    """The label that each place is chosen for: as many glimpses for each, the very first one perhaps not chosen."""
    glimpses = -(-places // labels)
    return [(i + glimpses * labels - places) // glimpses for i in range(places)]
