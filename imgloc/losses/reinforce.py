"""The policy's gradient: places that led to a right answer become likelier than those that did not."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import UserError, chosen
from imgloc.losses.sequence import in_reading_order
from imgloc.types import Batch, FloatArray, Outputs

SIGNED = True  # a loss that may be below 0


def _probability(logits_bxnxk: jax.Array, label_bxn: jax.Array) -> jax.Array:
    return jnp.take_along_axis(jax.nn.softmax(logits_bxnxk), label_bxn[..., None], axis=-1)[..., 0]


REWARDS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "right": lambda logits_bxnxk, label_bxn: (logits_bxnxk.argmax(axis=-1) == label_bxn).astype(jnp.float32),
    "probability": _probability,
}


def loss(outputs: Outputs, batch: Batch, *, reward: str = "right", trace: float = 1.0, baseline: float = 1.0) -> jax.Array:
    """[b]: REINFORCE (Williams, 1992): minus each drawn place's log-probability times its advantage, added up; below 0 where that pays.

    The reward is 1 for a right class, else 0; with `reward` "probability" it is the probability of the right class: what that reward
    would be on average if the class were drawn. Of a sequence of labels each has a reward of its own (Ba et al., 2015,
    arXiv:1412.7755); an image without an object has none. A place's advantage is what all rewards after it exceed the model's baseline
    by; with `trace` below 1, what they and the baselines of the places after it do, those that are s places later weighed by trace^s:
    less scatter, for a bias where baselines err (Schulman et al., 2016, arXiv:1506.02438, with no discount). Plus `baseline` times the
    squared errors of the baselines, which expect all rewards after their place. Needs the features log_probability (b, s) and
    baselines (b, s) of `imgloc.models.ram`.
    """
    rewarded = chosen("reward (losses.reinforce.reward)", reward, REWARDS)
    if not 0 <= trace <= 1:
        raise UserError(f"losses.reinforce.trace is {trace}; possible: 0 to 1")
    if baseline < 0:  # baselines would flee from what they are to expect
        raise UserError(f"losses.reinforce.baseline is {baseline}; possible: at least 0")
    features = outputs.get("features", {})
    if not {"log_probability", "baselines"} <= set(features):
        possible = "model.name=ram with policy=learned, and 2 glimpses or a context; or losses.reinforce.weight=0"
        raise UserError(f"loss 'reinforce' needs a policy's log_probability and baselines; possible: {possible}")
    if "sequence" in outputs:
        logits_bxnxk = outputs["sequence"]
        label_bxn, told_bxn = in_reading_order(batch, logits_bxnxk.shape[1])
    else:
        logits_bxnxk, label_bxn, told_bxn = outputs["logits"][:, None], jnp.asarray(batch.label_b)[:, None], jnp.ones((1, 1))
    reward_bxn = jax.lax.stop_gradient(rewarded(logits_bxnxk.astype(jnp.float32), label_bxn) * told_bxn)
    baselines_bxs = features["baselines"]
    reward_bxs = reward_bxn @ _follows(reward_bxn.shape[1], baselines_bxs.shape[1])
    to_come_bxs = jnp.cumsum(reward_bxs[:, ::-1], axis=1)[:, ::-1]
    gained_bxs = _advantages(reward_bxs, jax.lax.stop_gradient(baselines_bxs), trace) * features["log_probability"]
    loss_b: jax.Array = (baseline * (to_come_bxs - baselines_bxs) ** 2 - gained_bxs).sum(axis=-1) * told_bxn.any(axis=1)
    return loss_b


def _follows(labels: int, places: int) -> FloatArray:
    """(n, s): 1 where a label is said right after a place was looked at: as many glimpses a label, the very first perhaps not chosen."""
    glimpses = -(-places // labels)
    ends = glimpses * np.arange(1, labels + 1) - 1 - (glimpses * labels - places)
    follows: FloatArray = (ends[:, None] == np.arange(places)).astype(np.float32)
    return follows


def _advantages(reward_bxs: jax.Array, baselines_bxs: jax.Array, trace: float) -> jax.Array:
    """[b, s]: of each place, summed up from the last one backwards."""
    surprise_bxs = reward_bxs + jnp.pad(baselines_bxs[:, 1:], ((0, 0), (0, 1))) - baselines_bxs
    found = [surprise_bxs[:, -1]]
    for i in range(surprise_bxs.shape[1] - 2, -1, -1):
        found.append(surprise_bxs[:, i] + trace * found[-1])
    return jnp.stack(found[::-1], axis=1)
