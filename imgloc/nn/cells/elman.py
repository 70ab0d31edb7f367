"""Elman's simple recurrent network (1990): h_t = f(x_t W + h_{t-1} U + bias)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.nn.initializers import Activation, gate_kernels, get_activation
from imgloc.nn.masking import Carry
from imgloc.nn.recurrence import recurrent_scan


def elman(
    x_bxtxf: jax.Array, w_fxd: jax.Array, u_dxd: jax.Array, bias_d: jax.Array, mask_bxt: jax.Array | None = None,
    *, activation: Activation = jnp.tanh, reverse: bool = False, form: str = "",
) -> jax.Array:  # fmt: skip
    """Returns the states (b, t, d) of h_t = activation(x_t W + h_{t-1} U + bias), h_0 = 0; see `recurrent_scan` for mask and form."""

    def cell(total: jax.Array, _: Carry) -> Carry:
        return (activation(total),)

    return recurrent_scan(cell, 1, x_bxtxf, w_fxd, u_dxd, bias_d, mask_bxt, reverse=reverse, form=form)


class Layer(nn.Module):
    """`elman` with learned parameters: Glorot kernel, orthogonal recurrent kernel, bias 0."""

    features: int
    activation: str = "tanh"  # tanh, sigmoid or relu
    form: str = ""

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
        """Returns the states (b, t, features)."""
        kernel, recurrent_kernel = gate_kernels(self, x_bxtxf.shape[-1], self.features, 1)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        w, u, b = (a.astype(x_bxtxf.dtype) for a in (kernel, recurrent_kernel, bias))
        return elman(x_bxtxf, w, u, b, mask_bxt, activation=get_activation(self.activation), reverse=reverse, form=self.form)
