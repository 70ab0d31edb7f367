"""linen's own cells in the place of imgloc's: the same arguments, the parameters cut into those that linen has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

Activation = Callable[[jax.Array], jax.Array]


def elman(x: jax.Array, w: jax.Array, u: jax.Array, bias: jax.Array, mask: None = None, *, activation: Activation, **_: Any) -> jax.Array:
    """linen's simple recurrence over a sequence."""
    params = {"i": {"kernel": w, "bias": bias}, "h": {"kernel": u}}
    return _states(nn.SimpleCell(u.shape[0], activation_fn=activation), params, x)


def lstm(x: jax.Array, w: jax.Array, u: jax.Array, bias: jax.Array, mask: None = None, *, activation: Activation, **_: Any) -> jax.Array:
    """linen's LSTM over a sequence: gates i, f, g, o."""
    gates = ("i", "f", "g", "o")
    params = _of_gates("i", gates, w, {}) | _of_gates("h", gates, u, dict(zip(gates, jnp.split(bias, 4), strict=True)))
    return _states(nn.OptimizedLSTMCell(u.shape[0], activation_fn=activation), params, x)


def gru(x: jax.Array, w: jax.Array, u: jax.Array, bias: jax.Array, recurrent_bias: jax.Array, mask: None = None, **_: Any) -> jax.Array:
    """linen's GRU over a sequence: gates r, z, n."""
    return _states(nn.GRUCell(u.shape[0]), _reset_behind(("r", "z", "n"), w, u, bias, recurrent_bias), x)


def minimal_gru(
    x: jax.Array, w: jax.Array, u: jax.Array, bias: jax.Array, recurrent_bias: jax.Array, mask: None = None, **_: Any
) -> jax.Array:  # fmt: skip
    """linen's minimal gated unit over a sequence: gates f, n."""
    return _states(nn.MGUCell(u.shape[0]), _reset_behind(("f", "n"), w, u, bias, recurrent_bias), x)


def conv_lstm(x: jax.Array, kernel: jax.Array, recurrent_kernel: jax.Array, bias: jax.Array, mask: None = None, **_: Any) -> jax.Array:
    """linen's convolutional LSTM over a sequence of maps: its gates lie as i, g, f, o, and to f it adds 1."""

    def turned(array: jax.Array) -> jax.Array:
        i, f, g, o = jnp.split(array, 4, axis=-1)
        return jnp.concatenate([i, g, f, o], axis=-1)

    d = recurrent_kernel.shape[2]
    bias = turned(bias).at[2 * d : 3 * d].add(-1.0)
    params = {"ih": {"kernel": turned(kernel), "bias": bias}, "hh": {"kernel": turned(recurrent_kernel), "bias": jnp.zeros_like(bias)}}
    return _states(nn.ConvLSTMCell(d, kernel.shape[:2]), params, x)


def _reset_behind(gates: Sequence[str], w: jax.Array, u: jax.Array, bias: jax.Array, recurrent_bias: jax.Array) -> dict[str, Any]:
    into = dict(zip(gates, jnp.split(bias, len(gates)), strict=True))
    return _of_gates("i", gates, w, into) | _of_gates("h", gates, u, {"n": recurrent_bias})


def _of_gates(side: str, gates: Sequence[str], kernels: jax.Array, biases: dict[str, jax.Array]) -> dict[str, Any]:
    parts = zip(gates, jnp.split(kernels, len(gates), axis=-1), strict=True)
    return {side + gate: {"kernel": part} | ({"bias": biases[gate]} if gate in biases else {}) for gate, part in parts}


def _states(cell: nn.RNNCellBase, params: dict[str, Any], x: jax.Array) -> jax.Array:
    states: Any = nn.RNN(cell, parent=None).apply({"params": {"cell": params}}, x)
    return jnp.asarray(states)
