"""Sums over many passes of a model, one after the other, in the memory of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

T = TypeVar("T")


def sum_over(function: Callable[[Any], T], items: Any) -> T:
    """The sum of `function(item)` over items that are stacked along the first axis of the leaves of `items`."""
    shapes = jax.eval_shape(function, jax.tree.map(lambda a: a[0], items))

    def step(total: Any, item: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, function(item)), None

    total: T
    total, _ = jax.lax.scan(step, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes), items)
    return total
