"""The optax transformation and learning rate schedule of a config's `optim` section."""

from __future__ import annotations

import re
from collections.abc import Sequence

import jax
import optax
from jaxtyping import PyTree
from ml_collections import ConfigDict

from imgloc.errors import UserError, unknown

OPTIMIZERS = ("adamw", "sgd")


def make_optimizer(optim: ConfigDict, steps: int) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The transformation, and its learning rate by step: linear warmup, then cosine decay to zero over `steps`.

    Gradients are clipped by global norm (`clip_norm`, 0: off). Weight decay is decoupled from the gradient
    (Loshchilov and Hutter, 2019) and leaves out parameters whose path matches `weight_decay_exclude`.
    """
    if optim.name not in OPTIMIZERS:
        raise unknown("optimizer", optim.name, OPTIMIZERS)
    schedule = _schedule(optim.schedule, optim.lr, optim.warmup_steps, steps)
    excluded = compile_patterns(optim.weight_decay_exclude, "optim.weight_decay_exclude")
    transformations: list[optax.GradientTransformation] = []
    if optim.clip_norm > 0:
        transformations.append(optax.clip_by_global_norm(optim.clip_norm))
    if optim.name == "adamw":
        transformations.append(optax.scale_by_adam(b1=optim.b1, b2=optim.b2, eps=optim.eps))
    else:
        transformations.append(optax.trace(decay=optim.b1, nesterov=False))
    if optim.weight_decay > 0:
        transformations.append(optax.add_decayed_weights(optim.weight_decay, mask=lambda params: weight_decay_mask(params, excluded)))
    transformations.append(optax.scale_by_learning_rate(schedule))
    return optax.chain(*transformations), schedule


def _schedule(name: str, lr: float, warmup_steps: int, steps: int) -> optax.Schedule:
    if name == "cosine":
        return optax.warmup_cosine_decay_schedule(0.0, lr, warmup_steps, max(steps, warmup_steps + 1))
    if name == "constant":
        return optax.linear_schedule(0.0, lr, warmup_steps) if warmup_steps else optax.constant_schedule(lr)
    raise unknown("schedule", name, ("cosine", "constant"))


def compile_patterns(patterns: Sequence[str], key: str) -> list[re.Pattern[str]]:
    """The compiled regular expressions of a config key. Raises UserError for an invalid or an empty one."""
    if "" in patterns:
        raise UserError(f"config key '{key}' contains an empty pattern, which matches everything; use () for no pattern")
    try:
        return [re.compile(pattern) for pattern in patterns]
    except re.error as error:
        raise UserError(f"config key '{key}': {error.pattern!r} is not a regular expression: {error}") from error


def weight_decay_mask(params: PyTree, excluded: Sequence[re.Pattern[str]]) -> PyTree:
    """True for each parameter that weight decay applies to: no pattern of `excluded` matches within its path `a/b/c`."""

    def is_decayed(path: Sequence[object], _: jax.Array) -> bool:
        name = jax.tree_util.keystr(tuple(path), simple=True, separator="/")
        return not any(pattern.search(name) for pattern in excluded)

    return jax.tree_util.tree_map_with_path(is_decayed, params)
