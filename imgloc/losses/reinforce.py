"""The policy's gradient: places that led to a right answer become likelier than those that did not."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import UserError, look_up
from imgloc.interfaces import Loss
from imgloc.losses.sequence import in_reading_order
from imgloc.types import Batch, FloatArray, Outputs


def _probability(logits_bxnxk: jax.Array, label_bxn: jax.Array) -> jax.Array:
    return jnp.take_along_axis(jax.nn.softmax(logits_bxnxk), label_bxn[..., None], axis=-1)[..., 0]


REWARDS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "right": lambda logits_bxnxk, label_bxn: (logits_bxnxk.argmax(axis=-1) == label_bxn).astype(jnp.float32),
    "probability": _probability,
}


def loss(outputs: Outputs, batch: Batch, *, reward: str = "right", gae_lambda: float = 1.0, value_weight: float = 1.0) -> jax.Array:
    """[b]: REINFORCE (Williams, 1992), the negative log-probability of each drawn place times its advantage, summed; may be negative.

    The reward is 1 for a right class, else 0; with `reward` "probability" it is the probability of the right class. In a sequence
    each label has its own reward (Ba et al., 2015, arXiv:1412.7755); an image without an object has none. The advantage of a place is
    the sum of later rewards minus the baseline of the model, a generalized advantage estimate with decay `gae_lambda` and no discount
    (Schulman et al., 2016, arXiv:1506.02438). The squared errors of the baselines are added, times `value_weight`.
    """
    rewarded = look_up("reward (losses.reinforce.reward)", reward, REWARDS)
    if not 0 <= gae_lambda <= 1:
        raise UserError(f"losses.reinforce.gae_lambda must be from 0 to 1, got {gae_lambda}")
    if value_weight < 0:  # the baselines would move away from the rewards
        raise UserError(f"losses.reinforce.value_weight must be at least 0, got {value_weight}")
    features = outputs["features"]
    if "sequence" in outputs:
        logits_bxnxk = outputs["sequence"]
        label_bxn, told_bxn = in_reading_order(batch, logits_bxnxk.shape[1])
    else:
        logits_bxnxk, label_bxn, told_bxn = outputs["logits"][:, None], jnp.asarray(batch.label_b)[:, None], jnp.ones((1, 1))
    reward_bxn = jax.lax.stop_gradient(rewarded(logits_bxnxk.astype(jnp.float32), label_bxn) * told_bxn)
    baselines_bxs = features["baselines"]
    reward_bxs = reward_bxn @ _follows(reward_bxn.shape[1], baselines_bxs.shape[1])
    to_come_bxs = jnp.cumsum(reward_bxs[:, ::-1], axis=1)[:, ::-1]
    gained_bxs = _advantages(reward_bxs, jax.lax.stop_gradient(baselines_bxs), gae_lambda) * features["log_probability"]
    loss_b: jax.Array = (value_weight * (to_come_bxs - baselines_bxs) ** 2 - gained_bxs).sum(axis=-1) * told_bxn.any(axis=1)
    return loss_b


def _follows(labels: int, places: int) -> FloatArray:
    """(n, s): 1 where a label is said right after a place was looked at: as many glimpses a label, the very first perhaps not chosen."""
    glimpses = -(-places // labels)
    ends = glimpses * np.arange(1, labels + 1) - 1 - (glimpses * labels - places)
    follows: FloatArray = (ends[:, None] == np.arange(places)).astype(np.float32)
    return follows


def _advantages(reward_bxs: jax.Array, baselines_bxs: jax.Array, gae_lambda: float) -> jax.Array:
    """[b, s]: of each place, summed up from the last one backwards."""
    surprise_bxs = reward_bxs + jnp.pad(baselines_bxs[:, 1:], ((0, 0), (0, 1))) - baselines_bxs
    found = [surprise_bxs[:, -1]]
    for i in range(surprise_bxs.shape[1] - 2, -1, -1):
        found.append(surprise_bxs[:, i] + gae_lambda * found[-1])
    return jnp.stack(found[::-1], axis=1)


LOSS = Loss(
    loss,
    outputs={"logits": ("b", "k"), "features/log_probability": ("b", "c"), "features/baselines": ("b", "c")},
    truths=("label_b", "boxes_bxnx4", "labels_bxn", "object_mask_bxn"),
    may_be_negative=True,
)
