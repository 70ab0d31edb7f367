"""REINFORCE (Williams, 1992): places that led to a correct prediction become more probable."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import UserError, look_up
from imgloc.interfaces import Loss
from imgloc.losses.sequence import labels_in_reading_order
from imgloc.types import Batch, FloatArray, Outputs


def _probability(logits_bxnxk: jax.Array, label_bxn: jax.Array) -> jax.Array:
    return jnp.take_along_axis(jax.nn.softmax(logits_bxnxk), label_bxn[..., None], axis=-1)[..., 0]


REWARDS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "correct": lambda logits_bxnxk, label_bxn: (logits_bxnxk.argmax(axis=-1) == label_bxn).astype(jnp.float32),
    "probability": _probability,
}


def loss(outputs: Outputs, batch: Batch, *, reward: str = "correct", gae_lambda: float = 1.0, value_weight: float = 1.0) -> jax.Array:
    """[b]: sum over places of the negative log-probability times the advantage, plus `value_weight` times the baselines' squared errors.

    The reward is 1 for a correct class, else 0; with `reward` "probability" it is the probability of the true class. Each label of a
    sequence has its own reward (Ba et al., 2015, arXiv:1412.7755); images without an object have none. The advantage of a place is its
    generalized advantage estimate with decay `gae_lambda` and no discount (Schulman et al., 2016, arXiv:1506.02438): at 1, the sum of
    later rewards minus the baseline. The loss may be negative.
    """
    reward_function = look_up("reward (losses.reinforce.reward)", reward, REWARDS)
    if not 0 <= gae_lambda <= 1:
        raise UserError(f"losses.reinforce.gae_lambda must be from 0 to 1, got {gae_lambda}")
    if value_weight < 0:  # the baselines would move away from the rewards
        raise UserError(f"losses.reinforce.value_weight must be at least 0, got {value_weight}")
    features = outputs["features"]
    if "sequence" in outputs:
        logits_bxnxk = outputs["sequence"]
        label_bxn, mask_bxn = labels_in_reading_order(batch, logits_bxnxk.shape[1])
    else:
        logits_bxnxk, label_bxn, mask_bxn = outputs["logits"][:, None], jnp.asarray(batch.label_b)[:, None], jnp.ones((1, 1))
    reward_bxn = jax.lax.stop_gradient(reward_function(logits_bxnxk.astype(jnp.float32), label_bxn) * mask_bxn)
    baselines_bxc = features["baselines"]
    reward_bxc = reward_bxn @ _last_places(reward_bxn.shape[1], baselines_bxc.shape[1])
    return_bxc = jnp.cumsum(reward_bxc[:, ::-1], axis=1)[:, ::-1]
    gain_bxc = _advantages(reward_bxc, jax.lax.stop_gradient(baselines_bxc), gae_lambda) * features["log_probability"]
    loss_b: jax.Array = (value_weight * (return_bxc - baselines_bxc) ** 2 - gain_bxc).sum(axis=-1) * mask_bxn.any(axis=1)
    return loss_b


def _last_places(labels: int, places: int) -> FloatArray:
    """(n, c): 1 for the last place before each label. Labels have equally many glimpses; the very first place may not be chosen."""
    glimpses = -(-places // labels)
    last_n = glimpses * np.arange(1, labels + 1) - 1 - (glimpses * labels - places)
    is_last: FloatArray = (last_n[:, None] == np.arange(places)).astype(np.float32)
    return is_last


def _advantages(reward_bxc: jax.Array, baselines_bxc: jax.Array, gae_lambda: float) -> jax.Array:
    """The generalized advantage estimate (b, c) of each place, summed from the last one backwards."""
    residual_bxc = reward_bxc + jnp.pad(baselines_bxc[:, 1:], ((0, 0), (0, 1))) - baselines_bxc
    advantages = [residual_bxc[:, -1]]
    for i in range(residual_bxc.shape[1] - 2, -1, -1):
        advantages.append(residual_bxc[:, i] + gae_lambda * advantages[-1])
    return jnp.stack(advantages[::-1], axis=1)


LOSS = Loss(
    loss,
    outputs={"logits": ("b", "k"), "features/log_probability": ("b", "c"), "features/baselines": ("b", "c")},
    truths=("label_b", "boxes_bxnx4", "labels_bxn", "object_mask_bxn"),
    may_be_negative=True,
    optional_outputs={"sequence": ("b", "n", "k")},
)
