"""The optax transformation and learning rate schedule of a config's `optim` section."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import optax
from jaxtyping import PyTree
from ml_collections import ConfigDict

from imgloc.errors import MAX_LISTED, UserError, listed, look_up, unknown
from imgloc.nn.freezing import frozen_mask, matches
from imgloc.training.hyperparameters import is_on

OPTIMIZERS = ("adamw", "lion", "sgd")


class Scale(NamedTuple):
    """A factor of the learning rate of the parameters that a pattern matches."""

    pattern: re.Pattern[str]
    factor: float


def make_optimizer(optim: ConfigDict, steps: int) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The transformation, and its learning rate by step: linear warmup, then cosine decay to zero over `steps`.

    Gradients are clipped by global norm (`clip_norm`, 0: off). Weight decay is decoupled from the gradient
    (Loshchilov and Hutter, 2019) and leaves out parameters whose path matches `weight_decay_exclude`. The learning rate of parameters
    is multiplied by the factor of the first pattern of `lr_scale` that matches; those that match `frozen` have no updates and no state.
    The numbers of `optim` may be traced.
    """
    if optim.name not in OPTIMIZERS:
        raise unknown("optimizer", optim.name, OPTIMIZERS)
    schedule = _schedule(optim.schedule, optim.lr, optim.warmup_steps, steps)
    excluded = compile_patterns(optim.weight_decay_exclude, "optim.weight_decay_exclude")
    transformations: list[optax.GradientTransformation] = []
    if is_on(optim.clip_norm):
        transformations.append(optax.clip_by_global_norm(optim.clip_norm))
    if optim.name == "adamw":
        transformations.append(optax.scale_by_adam(b1=optim.b1, b2=optim.b2, eps=optim.eps))
    elif optim.name == "lion":
        transformations.append(optax.scale_by_lion(b1=optim.b1, b2=optim.b2))
    else:
        transformations.append(optax.trace(decay=optim.b1, nesterov=False))
    if is_on(optim.weight_decay):
        transformations.append(optax.add_decayed_weights(optim.weight_decay, mask=lambda params: weight_decay_mask(params, excluded)))
    transformations.append(optax.scale_by_learning_rate(schedule))
    scales = compile_scales(optim.lr_scale)
    if scales:
        transformations.append(optax.stateless(lambda updates, _: scaled(updates, scales)))
    frozen = compile_patterns(optim.frozen, "optim.frozen")
    trained = optax.chain(*transformations)
    if not frozen:
        return trained, schedule
    parts = {False: trained, True: optax.set_to_zero()}
    return optax.partition(parts, lambda params: frozen_mask(params, frozen)), schedule


def _schedule(name: str, lr: float, warmup_steps: int, steps: int) -> optax.Schedule:
    relative = {
        "cosine": lambda: optax.warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps, max(steps, warmup_steps + 1)),
        "constant": lambda: optax.linear_schedule(0.0, 1.0, warmup_steps) if warmup_steps else optax.constant_schedule(1.0),
    }
    share = look_up("schedule", name, relative)()
    return lambda count: lr * share(count)  # optax compares some of its arguments with 0, and `lr` may be traced


def compile_patterns(patterns: Sequence[str], key: str) -> list[re.Pattern[str]]:
    """The compiled regular expressions of a config key. Raises UserError for an invalid or an empty one."""
    if "" in patterns:
        raise UserError(f"config key '{key}' contains an empty pattern, which matches everything; use () for no pattern")
    try:
        return [re.compile(pattern) for pattern in patterns]
    except re.error as error:
        raise UserError(f"config key '{key}': {error.pattern!r} is not a regular expression: {error}") from error


def compile_scales(entries: Sequence[Any]) -> list[Scale]:
    """The factors of `optim.lr_scale`. Raises UserError for an entry that is not a pattern and a factor of at least 0."""
    for entry in entries:
        pair = entry if isinstance(entry, (tuple, list)) and len(entry) == 2 else (None, None)
        is_number = isinstance(pair[1], (int, float)) and not isinstance(pair[1], bool) and 0 <= pair[1] < math.inf
        if not isinstance(pair[0], str) or not is_number:
            raise UserError(f"an entry of optim.lr_scale must be a pattern and a factor, such as ('^backbone/', 0.1), got {entry!r}")
    patterns = compile_patterns([pattern for pattern, _ in entries], "optim.lr_scale")
    return [Scale(pattern, float(factor)) for pattern, (_, factor) in zip(patterns, entries, strict=True)]


def scaled(updates: PyTree, scales: Sequence[Scale]) -> PyTree:
    """The updates of parameters, each multiplied by the factor of the first pattern that matches within its path."""

    def scale(path: Sequence[Any], update: jax.Array) -> jax.Array:
        name = jax.tree_util.keystr(tuple(path), simple=True, separator="/")
        factor = next((each.factor for each in scales if each.pattern.search(name)), 1.0)
        return update if factor == 1 else update * factor

    return jax.tree_util.tree_map_with_path(scale, updates)


def check_patterns(optim: ConfigDict, params: PyTree) -> None:
    """Raises UserError where a pattern of `optim.frozen` or `optim.lr_scale` matches no parameter, and where all are frozen."""
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    frozen = compile_patterns(optim.frozen, "optim.frozen")
    groups = {"optim.frozen": frozen, "optim.lr_scale": [scale.pattern for scale in compile_scales(optim.lr_scale)]}
    for key, patterns in groups.items():
        for pattern in patterns:
            if not any(pattern.search(name) for name in names):
                roots = sorted({name.partition("/")[0] for name in names})
                raise UserError(f"{key}: {pattern.pattern!r} matches no parameter; their paths begin with {listed(roots, MAX_LISTED)}")
    if all(matches(name, frozen) for name in names):
        raise UserError("optim.frozen matches every parameter; nothing would be trained")


def weight_decay_mask(params: PyTree, excluded: Sequence[re.Pattern[str]]) -> PyTree:
    """True for each parameter that weight decay applies to: no pattern of `excluded` matches within its path `a/b/c`."""

    def is_decayed(path: Sequence[object], _: jax.Array) -> bool:
        name = jax.tree_util.keystr(tuple(path), simple=True, separator="/")
        return not any(pattern.search(name) for pattern in excluded)

    return jax.tree_util.tree_map_with_path(is_decayed, params)
