"""Parts of a model that training leaves as they are: parameters without gradients, and batch normalization by stored statistics."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import linen as nn
from jaxtyping import PyTree

Patterns = Sequence[re.Pattern[str]]


def matches(path: str, patterns: Patterns) -> bool:
    """Whether a pattern matches within a path `a/b/c`."""
    return any(pattern.search(path) for pattern in patterns)


def frozen_mask(tree: PyTree, patterns: Patterns) -> PyTree:
    """True for each leaf of a collection of variables whose path matches a pattern."""
    return jax.tree_util.tree_map_with_path(lambda path, _: matches(jax.tree_util.keystr(path, simple=True, separator="/"), patterns), tree)


def stop_gradients(params: PyTree, patterns: Patterns) -> PyTree:
    """The parameters, those that match as constants: their gradients are zeros, and nothing is computed for these."""
    return jax.tree.map(lambda leaf, frozen: jax.lax.stop_gradient(leaf) if frozen else leaf, params, frozen_mask(params, patterns))


def evaluate_frozen_norms(patterns: Patterns) -> Callable[..., Any]:
    """An interceptor of linen's methods: batch normalization whose stored mean matches (`a/b/mean`) computes as in evaluation.

    It normalizes with the stored statistics, as the frozen layers after it require, and does not change them. This applies to
    `nn.BatchNorm` in any model, without a change of the model.
    """

    def intercept(call: Callable[..., Any], arguments: Any, options: Any, context: nn.module.InterceptorContext) -> Any:
        norm = context.module
        if isinstance(norm, nn.BatchNorm) and not norm.use_running_average and matches("/".join((*norm.path, "mean")), patterns):
            return norm.clone(parent=None, use_running_average=True).apply(norm.variables, *arguments, **options)
        return call(*arguments, **options)

    return intercept
