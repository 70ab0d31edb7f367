"""linen's cells with the arguments of imgloc's, their parameters split into those of linen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import linen as nn

Activation: TypeAlias = Callable[[jax.Array], jax.Array]
Params: TypeAlias = dict[str, dict[str, jax.Array]]


def elman(x: jax.Array, w: jax.Array, u: jax.Array, bias: jax.Array, mask: None = None, *, activation: Activation, **_: Any) -> jax.Array:
    """Runs linen's simple cell over a sequence."""
    params = {"i": {"kernel": w, "bias": bias}, "h": {"kernel": u}}
    return _states(nn.SimpleCell(u.shape[0], activation_fn=activation), params, x)


def lstm(x: jax.Array, w: jax.Array, u: jax.Array, bias: jax.Array, mask: None = None, *, activation: Activation, **_: Any) -> jax.Array:
    """Runs linen's LSTM over a sequence; gates are i, f, g, o."""
    gates = ("i", "f", "g", "o")
    params = _gate_params("i", gates, w, {}) | _gate_params("h", gates, u, dict(zip(gates, jnp.split(bias, 4), strict=True)))
    return _states(nn.OptimizedLSTMCell(u.shape[0], activation_fn=activation), params, x)


def gru(x: jax.Array, w: jax.Array, u: jax.Array, bias: jax.Array, recurrent_bias: jax.Array, mask: None = None, **_: Any) -> jax.Array:
    """Runs linen's GRU over a sequence; gates are r, z, n."""
    return _states(nn.GRUCell(u.shape[0]), _reset_after_params(("r", "z", "n"), w, u, bias, recurrent_bias), x)


def minimal_gru(
    x: jax.Array, w: jax.Array, u: jax.Array, bias: jax.Array, recurrent_bias: jax.Array, mask: None = None, **_: Any
) -> jax.Array:  # fmt: skip
    """Runs linen's minimal gated unit over a sequence; gates are f, n."""
    return _states(nn.MGUCell(u.shape[0]), _reset_after_params(("f", "n"), w, u, bias, recurrent_bias), x)


def conv_lstm(x: jax.Array, kernel: jax.Array, recurrent_kernel: jax.Array, bias: jax.Array, mask: None = None, **_: Any) -> jax.Array:
    """Runs linen's convolutional LSTM over a sequence of maps; its gates are i, g, f, o, and it adds 1 to f."""

    def reordered(array: jax.Array) -> jax.Array:
        i, f, g, o = jnp.split(array, 4, axis=-1)
        return jnp.concatenate([i, g, f, o], axis=-1)

    d = recurrent_kernel.shape[2]
    bias = reordered(bias).at[2 * d : 3 * d].add(-1.0)
    params = {
        "ih": {"kernel": reordered(kernel), "bias": bias},
        "hh": {"kernel": reordered(recurrent_kernel), "bias": jnp.zeros_like(bias)},
    }
    return _states(nn.ConvLSTMCell(d, kernel.shape[:2]), params, x)


def _reset_after_params(gates: Sequence[str], w: jax.Array, u: jax.Array, bias: jax.Array, recurrent_bias: jax.Array) -> Params:
    input_biases = dict(zip(gates, jnp.split(bias, len(gates)), strict=True))
    return _gate_params("i", gates, w, input_biases) | _gate_params("h", gates, u, {"n": recurrent_bias})


def _gate_params(side: str, gates: Sequence[str], kernels: jax.Array, biases: dict[str, jax.Array]) -> Params:
    parts = zip(gates, jnp.split(kernels, len(gates), axis=-1), strict=True)
    return {side + gate: {"kernel": part} | ({"bias": biases[gate]} if gate in biases else {}) for gate, part in parts}


def _states(cell: nn.RNNCellBase, params: Params, x: jax.Array) -> jax.Array:
    states: Any = nn.RNN(cell, parent=None).apply({"params": {"cell": params}}, x)
    return jnp.asarray(states)
