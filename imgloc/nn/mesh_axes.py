"""Inside `jax.shard_map`, a value has a set of mesh axes along which it differs; operands of one operation must agree on theirs."""

from __future__ import annotations

from typing import Any

import jax


def vary_alike(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """The same values, each typed as varying along every mesh axis that one of them varies along.

    The transpose sums over the axes added, so that what is the same everywhere gets its whole gradient. Outside shard_map nothing happens.
    """
    axes = frozenset[str]().union(*map(_varying, arrays))
    return tuple(_vary(x, tuple(sorted(axes - _varying(x)))) for x in arrays)


def _varying(x: jax.Array) -> frozenset[str]:
    kind: Any = jax.typeof(x)
    manual = getattr(kind, "mat", None)  # until lately the set lay in the type itself
    axes: frozenset[str] = kind.vma if manual is None else manual.varying
    return axes


def _vary(x: jax.Array, axes: tuple[str, ...]) -> jax.Array:
    return jax.lax.pcast(x, axes, to="varying") if axes else x
