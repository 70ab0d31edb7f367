"""From the `optim` section of a config to an optax transformation and its schedule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jax
import optax

from imgloc.errors import UserError, unknown

OPTIMIZERS = ("adamw", "sgd")


def make_optimizer(optim: Any, steps: int) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The transformation and its learning rate by step: linear warmup, then cosine to zero over `steps`.

    Gradients are clipped by global norm (`clip_norm`, 0: off); weight decay is decoupled from the
    gradient (Loshchilov and Hutter, 2019) and spares parameters whose path matches `weight_decay_exclude`.
    """
    if optim.name not in OPTIMIZERS:
        raise unknown("optimizer", optim.name, OPTIMIZERS)
    schedule = _schedule(optim.schedule, optim.lr, optim.warmup_steps, steps)
    parts: list[optax.GradientTransformation] = []
    spared = compiled(optim.weight_decay_exclude, "optim.weight_decay_exclude")
    if optim.clip_norm > 0:
        parts.append(optax.clip_by_global_norm(optim.clip_norm))
    if optim.name == "adamw":
        parts.append(optax.scale_by_adam(b1=optim.b1, b2=optim.b2, eps=optim.eps))
    else:
        parts.append(optax.trace(decay=optim.b1, nesterov=False))
    if optim.weight_decay > 0:
        parts.append(optax.add_decayed_weights(optim.weight_decay, mask=lambda params: decay_mask(params, spared)))
    parts.append(optax.scale_by_learning_rate(schedule))
    return optax.chain(*parts), schedule


def _schedule(name: str, lr: float, warmup_steps: int, steps: int) -> optax.Schedule:
    if name == "cosine":
        return optax.warmup_cosine_decay_schedule(0.0, lr, warmup_steps, max(steps, warmup_steps + 1))
    if name == "constant":
        return optax.linear_schedule(0.0, lr, warmup_steps) if warmup_steps else optax.constant_schedule(lr)
    raise unknown("schedule", name, ("cosine", "constant"))


def compiled(patterns: Sequence[str], key: str) -> list[re.Pattern[str]]:
    """The regular expressions of a config key. Raises UserError where one is none."""
    if "" in patterns:
        raise UserError(f"config key '{key}' holds an empty pattern, which matches everything; possible: () for none")
    try:
        return [re.compile(pattern) for pattern in patterns]
    except re.error as error:
        raise UserError(f"config key '{key}': {error.pattern!r} is no regular expression: {error}") from error


def decay_mask(params: Any, spared: Sequence[re.Pattern[str]]) -> Any:
    """True where weight decay applies: no pattern of `spared` is found in the parameter's `a/b/c` path."""

    def decayed(path: Any, _: Any) -> bool:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return not any(pattern.search(name) for pattern in spared)

    return jax.tree_util.tree_map_with_path(decayed, params)
