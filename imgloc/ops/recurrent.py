"""Recurrences over a sequence: Elman (1990) and LSTM (Hochreiter and Schmidhuber, 1997).

One call works through the whole sequence. On an accelerator the input's projection is one matrix
product for all steps; on a CPU a narrow input joins the state's product. Parameters are named and
shaped as those of `flax.linen.SimpleCell` and `flax.linen.OptimizedLSTMCell`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.ops.mesh_axes import vary_alike

Activation = Callable[[jax.Array], jax.Array]
Carry = tuple[jax.Array, ...]
FORMS = ("projected first", "joined")  # of the product with the input: for all steps at once, or with the state's
GATES = ("i", "f", "g", "o")  # input, forget, candidate, output


def elman(
    x_bxtxf: jax.Array, w_fxd: jax.Array, u_dxd: jax.Array, bias_d: jax.Array, *, activation: Activation = jnp.tanh, form: str = ""
) -> jax.Array:
    """States (b, t, d) of h_t = activation(x_t W + h_{t-1} U + bias), h_0 = 0; `form` is one of FORMS, chosen where empty."""

    def cell(total: jax.Array, _: Carry) -> Carry:
        return (activation(total),)

    return _recur(cell, 1, x_bxtxf, w_fxd, u_dxd, bias_d, form)


def lstm(
    x_bxtxf: jax.Array, w_fx4d: jax.Array, u_dx4d: jax.Array, bias_4d: jax.Array, *, activation: Activation = jnp.tanh, form: str = ""
) -> jax.Array:
    """States (b, t, d) of an LSTM with sigmoid gates in the order i, f, g, o along the last axis.

    c_t = f c_{t-1} + i activation(g), h_t = o activation(c_t); both start at 0. `form` is one of FORMS,
    chosen where empty.
    """

    def cell(total: jax.Array, carry: Carry) -> Carry:
        i, f, g, o = jnp.split(total, 4, axis=-1)
        c = jax.nn.sigmoid(f) * carry[1] + jax.nn.sigmoid(i) * activation(g)
        return jax.nn.sigmoid(o) * activation(c), c

    return _recur(cell, 2, x_bxtxf, w_fx4d, u_dx4d, bias_4d, form)


def _recur(
    cell: Callable[[jax.Array, Carry], Carry], size: int, x_bxtxf: jax.Array, w_fxn: jax.Array, u_dxn: jax.Array, bias_n: jax.Array,
    form: str,
) -> jax.Array:  # fmt: skip
    """States (b, t, d) of carry = cell(x W + h U + bias, carry), where h is the first of the carry's `size` arrays (b, d)."""

    def scan(step_input: Callable[[jax.Array, jax.Array], jax.Array], inputs_txbxk: jax.Array) -> jax.Array:
        def step(carry: Carry, inputs: jax.Array) -> tuple[Carry, jax.Array]:
            carry = cell(step_input(inputs, carry[0]), carry)
            return carry, carry[0]

        start = jnp.zeros((inputs_txbxk.shape[1], u_dxn.shape[0]), inputs_txbxk.dtype)
        start = vary_alike(start, inputs_txbxk, w_fxn, u_dxn, bias_n)[0]
        states: jax.Array = jax.lax.scan(step, (start,) * size, inputs_txbxk)[1]
        return states

    def projected_first(x: jax.Array, w: jax.Array, u: jax.Array, bias: jax.Array) -> jax.Array:
        return scan(lambda projected, h: projected + h @ u, x @ w + bias)

    def joined(x: jax.Array, w: jax.Array, u: jax.Array, bias: jax.Array) -> jax.Array:
        both = jnp.concatenate([w, u])
        return scan(lambda inputs, h: jnp.concatenate([inputs, h], axis=-1) @ both + bias, x)

    forms = {"projected first": projected_first, "joined": joined}
    given = jnp.swapaxes(x_bxtxf, 0, 1), w_fxn, u_dxn, bias_n
    if form:
        return jnp.swapaxes(forms[form](*given), 0, 1)
    # experiments/operation_forms: one product of both halves wins on a CPU while the input is the smaller one.
    on_cpu = forms["joined" if x_bxtxf.shape[-1] <= u_dxn.shape[0] else "projected first"]
    states_txbxd = jax.lax.platform_dependent(*given, cpu=on_cpu, default=projected_first)
    return jnp.swapaxes(states_txbxd, 0, 1)


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
