"""imgloc's models on plain linen layers: what they would be without `imgloc.ops`.

The layers of `imgloc.ops` have linen's names of fields and parameters, so linen's own can stand in
for them: same model, same parameters, other operations. Only a process that times this does it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

PLAIN_MAX_POOL: Callable[..., Any] = nn.max_pool
PLAIN_AVERAGE_POOL: Callable[..., Any] = nn.avg_pool
Activation = Callable[[jax.Array], jax.Array]
BUILT_ON_LAYERS = ("imgloc.models.", "imgloc.bench.models")


def max_pool(x: jax.Array, window: tuple[int, int] = (2, 2), strides: tuple[int, int] | None = None, padding: Any = "VALID") -> jax.Array:
    """linen's max pooling; `strides` defaults to the window, as in `imgloc.ops.pool`."""
    pooled: jax.Array = PLAIN_MAX_POOL(x, window, strides=strides or window, padding=padding)
    return pooled


def average_pool(
    x: jax.Array, window: tuple[int, int] = (2, 2), strides: tuple[int, int] | None = None, padding: Any = "VALID"
) -> jax.Array:
    """linen's average pooling; `strides` defaults to the window, as in `imgloc.ops.pool`."""
    pooled: jax.Array = PLAIN_AVERAGE_POOL(x, window, strides=strides or window, padding=padding)
    return pooled


def lstm(x: jax.Array, w: jax.Array, u: jax.Array, bias: jax.Array, mask: None = None, *, activation: Activation, **_: Any) -> jax.Array:
    """linen's LSTM over a sequence, with imgloc's parameters cut into its own."""
    gates = ("i", "f", "g", "o")
    params = {f"i{gate}": {"kernel": kernel} for gate, kernel in zip(gates, jnp.split(w, 4, axis=-1), strict=True)}
    hidden = zip(gates, jnp.split(u, 4, axis=-1), jnp.split(bias, 4), strict=True)
    params |= {f"h{gate}": {"kernel": kernel, "bias": part} for gate, kernel, part in hidden}
    return _states(nn.OptimizedLSTMCell(u.shape[0], activation_fn=activation), params, x)


def elman(x: jax.Array, w: jax.Array, u: jax.Array, bias: jax.Array, mask: None = None, *, activation: Activation, **_: Any) -> jax.Array:
    """linen's simple recurrence over a sequence, with imgloc's parameters."""
    params = {"i": {"kernel": w, "bias": bias}, "h": {"kernel": u}}
    return _states(nn.SimpleCell(u.shape[0], activation_fn=activation), params, x)


def _states(cell: nn.RNNCellBase, params: dict[str, Any], x: jax.Array) -> jax.Array:
    states: Any = nn.RNN(cell, parent=None).apply({"params": {"cell": params}}, x)
    return jnp.asarray(states)


def replace_layers() -> None:
    """From now on models are built on linen's layers. Call it before any model's module is imported."""
    loaded = [name for name in sys.modules if name.startswith(BUILT_ON_LAYERS)]
    if loaded:
        raise RuntimeError(f"{loaded[0]} is imported already and keeps the layers that it was imported with")
    from imgloc.ops import conv, norm, pool
    from imgloc.recurrent.cells import elman as elman_cell
    from imgloc.recurrent.cells import lstm as lstm_cell

    for module, name, plain in (
        (conv, "Conv", nn.Conv),
        (norm, "GroupNorm", nn.GroupNorm),
        (pool, "max_pool", max_pool),
        (pool, "average_pool", average_pool),
        (lstm_cell, "lstm", lstm),
        (elman_cell, "elman", elman),
    ):
        if not hasattr(module, name):
            raise RuntimeError(f"{module.__name__} has no {name} to be replaced by linen's")
        setattr(module, name, plain)
