"""Long short-term memory (Hochreiter and Schmidhuber, 1997) with forget gates (Gers et al., 2000)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.nn.affine import affine_recur
from imgloc.nn.initializers import Activation, activation_of, bias_of_gates, kernels
from imgloc.nn.recurrence import Carry

GATES = ("i", "f", "g", "o")  # input, forget, candidate, output: PyTorch's order, and Keras's


def lstm(
    x_bxtxf: jax.Array, w_fx4d: jax.Array, u_dx4d: jax.Array, bias_4d: jax.Array, mask_bxt: jax.Array | None = None,
    *, activation: Activation = jnp.tanh, reverse: bool = False, form: str = "",
) -> jax.Array:  # fmt: skip
    """States (b, t, d) of an LSTM with sigmoid gates, in the order of GATES along the parameters' last axis.

    c_t = f c_{t-1} + i activation(g), h_t = o activation(c_t); both start at 0. Mask and `reverse` are those of
    `imgloc.nn.recurrence.recur`, `form` is one of `imgloc.nn.affine.FORMS`, chosen where empty.
    """

    def cell(total: jax.Array, carry: Carry) -> Carry:
        i, f, g, o = jnp.split(total, len(GATES), axis=-1)
        c = jax.nn.sigmoid(f) * carry[1] + jax.nn.sigmoid(i) * activation(g)
        return jax.nn.sigmoid(o) * activation(c), c

    return affine_recur(cell, 2, x_bxtxf, w_fx4d, u_dx4d, bias_4d, mask_bxt, reverse=reverse, form=form)


class Layer(nn.Module):
    """`lstm` with learned parameters: input Glorot, recurrence orthogonal, forget bias 1, others 0."""

    features: int
    activation: str = "tanh"  # of candidate and output; the seed's program takes relu
    forget_bias: float = 1.0
    draw: str = "gate"  # or matrix, as Keras and the seed's program do
    form: str = ""

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
        """States (b, t, features)."""
        kernel, recurrent_kernel = kernels(self, x_bxtxf.shape[-1], self.features, len(GATES), draw=self.draw)
        start = bias_of_gates({gate: self.forget_bias if gate == "f" else 0.0 for gate in GATES})
        bias = self.param("bias", start, (len(GATES) * self.features,))
        w, u, b = (a.astype(x_bxtxf.dtype) for a in (kernel, recurrent_kernel, bias))
        return lstm(x_bxtxf, w, u, b, mask_bxt, activation=activation_of(self.activation), reverse=reverse, form=self.form)
