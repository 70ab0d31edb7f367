"""Recurrences over a sequence: Elman (1990) and LSTM (Hochreiter and Schmidhuber, 1997).

One call works through the whole sequence: the input's projection is one matrix product for all
steps, only the product with the state stays inside the scan. Parameters are named and shaped as
those of `flax.linen.SimpleCell` and `flax.linen.OptimizedLSTMCell`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

Activation = Callable[[jax.Array], jax.Array]
GATES = ("i", "f", "g", "o")  # input, forget, candidate, output


def elman(x_bxtxf: jax.Array, w_fxd: jax.Array, u_dxd: jax.Array, bias_d: jax.Array, *, activation: Activation = jnp.tanh) -> jax.Array:
    """States (b, t, d) of h_t = activation(x_t W + h_{t-1} U + bias), h_0 = 0."""
    projected_txbxd = jnp.swapaxes(x_bxtxf @ w_fxd + bias_d, 0, 1)

    def step(h: jax.Array, projected: jax.Array) -> tuple[jax.Array, jax.Array]:
        h = activation(projected + h @ u_dxd)
        return h, h

    start = jnp.zeros(projected_txbxd.shape[1:], projected_txbxd.dtype)
    _, states = jax.lax.scan(step, start, projected_txbxd)
    return jnp.swapaxes(states, 0, 1)


def lstm(
    x_bxtxf: jax.Array, w_fx4d: jax.Array, u_dx4d: jax.Array, bias_4d: jax.Array, *, activation: Activation = jnp.tanh
) -> jax.Array:
    """States (b, t, d) of an LSTM with sigmoid gates in the order i, f, g, o along the last axis.

    c_t = f c_{t-1} + i activation(g), h_t = o activation(c_t); both start at 0.
    """
    projected_txbx4d = jnp.swapaxes(x_bxtxf @ w_fx4d + bias_4d, 0, 1)

    def step(carry: tuple[jax.Array, jax.Array], projected: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        h, c = carry
        i, f, g, o = jnp.split(projected + h @ u_dx4d, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * activation(g)
        h = jax.nn.sigmoid(o) * activation(c)
        return (h, c), h

    start = jnp.zeros((x_bxtxf.shape[0], u_dx4d.shape[0]), projected_txbx4d.dtype)
    _, states = jax.lax.scan(step, (start, start), projected_txbx4d)
    return jnp.swapaxes(states, 0, 1)


class _Affine(nn.Module):
    """The parameters of a Dense layer under linen's names, handed out instead of applied."""

    shape: tuple[int, int]
    kernel_init: Callable[..., Any]
    use_bias: bool
    bias: float = 0.0

    @nn.compact
    def __call__(self) -> Mapping[str, jax.Array]:
        parameters = {"kernel": self.param("kernel", self.kernel_init, self.shape)}
        if self.use_bias:
            parameters["bias"] = self.param("bias", nn.initializers.constant(self.bias), (self.shape[1],))
        return parameters


class Elman(nn.Module):
    """`elman` with learned parameters: input Glorot, recurrence orthogonal, bias 0."""

    features: int
    activation: Activation = jnp.tanh

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array) -> jax.Array:
        glorot, orthogonal = nn.initializers.glorot_uniform(), nn.initializers.orthogonal()
        inputs = _Affine((x_bxtxf.shape[-1], self.features), glorot, use_bias=True, name="i")()
        hidden = _Affine((self.features, self.features), orthogonal, use_bias=False, name="h")()
        dtype = x_bxtxf.dtype
        w, u, bias = (a.astype(dtype) for a in (inputs["kernel"], hidden["kernel"], inputs["bias"]))
        return elman(x_bxtxf, w, u, bias, activation=self.activation)


class LSTM(nn.Module):
    """`lstm` with learned parameters: input Glorot, recurrence orthogonal, forget bias 1 (Gers et al., 2000)."""

    features: int
    activation: Activation = jnp.tanh
    forget_bias: float = 1.0

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array) -> jax.Array:
        glorot, orthogonal = nn.initializers.glorot_uniform(), nn.initializers.orthogonal()
        inputs, hidden = [], []
        for gate in GATES:
            bias = self.forget_bias if gate == "f" else 0.0
            inputs.append(_Affine((x_bxtxf.shape[-1], self.features), glorot, use_bias=False, name=f"i{gate}")())
            hidden.append(_Affine((self.features, self.features), orthogonal, use_bias=True, bias=bias, name=f"h{gate}")())
        dtype = x_bxtxf.dtype
        w = jnp.concatenate([p["kernel"] for p in inputs], axis=-1).astype(dtype)
        u = jnp.concatenate([p["kernel"] for p in hidden], axis=-1).astype(dtype)
        b = jnp.concatenate([p["bias"] for p in hidden], axis=-1).astype(dtype)
        return lstm(x_bxtxf, w, u, b, activation=self.activation)
