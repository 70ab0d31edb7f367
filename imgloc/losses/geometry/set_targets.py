"""Which object each step of a set decoder learns, by the rule that a loss names."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax

from imgloc.config.build import member
from imgloc.errors import UserError
from imgloc.interfaces import AxisNames
from imgloc.types import Array, Batch, Outputs

#: The outputs of a set decoder that losses read, with their shapes; see `imgloc.models.set_decoder`.
SET_OUTPUTS: dict[str, AxisNames] = {"object_logits": ("b", "m", "k"), "object_boxes": ("b", "m", 4), "object_presence": ("b", "m")}
SET_TRUTHS = ("boxes_bxnx4", "labels_bxn", "object_mask_bxn")
LARGEST_COST = 1e6


class SetPredictions(NamedTuple):
    """What a set decoder predicts for one image in m steps."""

    probabilities_mxk: Array
    boxes_mx4: Array


class Matched(NamedTuple):
    """What each step of an image learns."""

    object_m: Array  # the index of its object; 0 where it has none
    has_object_m: Array  # whether it has one


#: A rule that orders or matches the objects of one image (`match` of a file in imgloc/losses/matchings): predictions of m steps,
#: boxes_nx4, labels_n and mask_n with n <= m -> the step of each object, (n,), all of them different. Steps of padding are ignored.
#: It is pure, its shapes are static, and no gradient passes through it.
Match: TypeAlias = Callable[[SetPredictions, Array, Array, Array], Array]


def matched_batch(outputs: Outputs, batch: Batch, matching: str) -> Matched:
    """Returns what each step learns, arrays (b, m), by a file of imgloc/losses/matchings or a dotted module.

    Several losses of one step compute it from the same arrays with the same operations, which XLA merges into one computation.
    Raises UserError where an image can have more objects than the model has steps.
    """
    match, steps, objects = member("losses.matchings", matching, "match"), outputs["object_boxes"].shape[1], batch.boxes_bxnx4.shape[1]
    if objects > steps:
        raise UserError(f"model.max_detections must be at least {objects}, the number of objects of data.max_objects, got {steps}")
    predictions = SetPredictions(jax.nn.softmax(outputs["object_logits"].astype(jnp.float32)), outputs["object_boxes"])

    def one(predictions: SetPredictions, boxes_nx4: jax.Array, labels_n: jax.Array, mask_n: jax.Array) -> Matched:
        step_n = match(predictions, boxes_nx4, labels_n, mask_n)
        is_of_mxn = (step_n == jnp.arange(steps)[:, None]) & mask_n
        return Matched(jnp.argmax(is_of_mxn, axis=1), is_of_mxn.any(axis=1))

    truths = (jnp.asarray(getattr(batch, name)) for name in SET_TRUTHS)
    matched: Matched = jax.lax.stop_gradient(jax.vmap(one)(jax.lax.stop_gradient(predictions), *truths))
    return matched


def cheapest_steps(cost_nxm: jax.Array, mask_n: Array) -> jax.Array:
    """Returns the steps (n,), all different, that minimize the sum of the costs of the objects of the mask; n is at most m.

    Costs that are not finite count as LARGEST_COST: with NaN, the Hungarian algorithm would not end.
    """
    finite_nxm = jnp.clip(jnp.nan_to_num(cost_nxm, nan=LARGEST_COST), -LARGEST_COST, LARGEST_COST)
    object_n, step_n = optax.assignment.hungarian_algorithm(jnp.where(mask_n[:, None], finite_nxm, 0.0))
    return jnp.zeros_like(step_n).at[object_n].set(step_n)


def rank_of(key_n: Array, mask_n: Array) -> jax.Array:
    """Returns the rank (n,) of each object by a rising key, objects of the mask before padding; equal ones keep their order."""
    order_n = jnp.argsort(jnp.where(mask_n, key_n, jnp.inf), stable=True)
    return jnp.argsort(order_n)
