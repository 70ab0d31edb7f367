"""Varying mesh axes inside `jax.shard_map`: the operands of one operation must vary along the same axes."""

from __future__ import annotations

from typing import Any

import jax


def match_varying_axes(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Returns the same values, each typed as varying along every mesh axis that one of them varies along.

    The transpose sums over the added axes, so a replicated value gets its whole gradient. Outside shard_map this does nothing.
    """
    axes = frozenset[str]().union(*map(_varying_axes, arrays))
    return tuple(_vary(x, tuple(sorted(axes - _varying_axes(x)))) for x in arrays)


def _varying_axes(x: jax.Array) -> frozenset[str]:
    aval: Any = jax.typeof(x)
    manual = getattr(aval, "mat", None)  # older JAX has the set in the type itself
    axes: frozenset[str] = aval.vma if manual is None else manual.varying
    return axes


def _vary(x: jax.Array, axes: tuple[str, ...]) -> jax.Array:
    return jax.lax.pcast(x, axes, to="varying") if axes else x
