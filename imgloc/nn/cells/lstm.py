"""Long short-term memory (Hochreiter and Schmidhuber, 1997) with forget gates (Gers et al., 2000)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.nn.initializers import Activation, gate_biases, gate_kernels, get_activation
from imgloc.nn.masking import Carry
from imgloc.nn.recurrence import recurrent_scan

GATES = ("i", "f", "g", "o")  # input, forget, candidate, output: the order of PyTorch and Keras


def lstm(
    x_bxtxf: jax.Array, w_fx4d: jax.Array, u_dx4d: jax.Array, bias_4d: jax.Array, mask_bxt: jax.Array | None = None,
    *, activation: Activation = jnp.tanh, reverse: bool = False, form: str = "",
) -> jax.Array:  # fmt: skip
    """Returns the states (b, t, d) of an LSTM whose parameters have the order of GATES along the last axis.

    c_t = f c_{t-1} + i activation(g), h_t = o activation(c_t), where i, f and o are sigmoids and c_0 = h_0 = 0. See
    `recurrent_scan` for mask and form.
    """

    def cell(total: jax.Array, carry: Carry) -> Carry:
        i, f, g, o = jnp.split(total, len(GATES), axis=-1)
        c = jax.nn.sigmoid(f) * carry[1] + jax.nn.sigmoid(i) * activation(g)
        return jax.nn.sigmoid(o) * activation(c), c

    return recurrent_scan(cell, 2, x_bxtxf, w_fx4d, u_dx4d, bias_4d, mask_bxt, reverse=reverse, form=form)


class Layer(nn.Module):
    """`lstm` with learned parameters: Glorot kernel, orthogonal recurrent kernel, biases 0 except the forget gate's."""

    features: int
    activation: str = "tanh"  # of candidate and output: tanh, sigmoid or relu
    forget_bias: float = 1.0
    kernel_init: str = "per_gate"  # or joint, as in Keras
    form: str = ""

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
        """Returns the states (b, t, features)."""
        kernel, recurrent_kernel = gate_kernels(self, x_bxtxf.shape[-1], self.features, len(GATES), kernel_init=self.kernel_init)
        bias_init = gate_biases({gate: self.forget_bias if gate == "f" else 0.0 for gate in GATES})
        bias = self.param("bias", bias_init, (len(GATES) * self.features,))
        w, u, b = (a.astype(x_bxtxf.dtype) for a in (kernel, recurrent_kernel, bias))
        return lstm(x_bxtxf, w, u, b, mask_bxt, activation=get_activation(self.activation), reverse=reverse, form=self.form)
