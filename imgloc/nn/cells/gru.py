"""The gated recurrent unit (Cho et al., 2014, arXiv:1406.1078), with the reset gate after the product of the state."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.nn.initializers import gate_biases, gate_kernels
from imgloc.nn.masking import Carry
from imgloc.nn.recurrence import recurrent_scan

GATES = ("r", "z", "n")  # reset, update, candidate: PyTorch's order; Keras has z first


def gru(
    x_bxtxf: jax.Array, w_fx3d: jax.Array, u_dx3d: jax.Array, bias_3d: jax.Array, recurrent_bias_d: jax.Array,
    mask_bxt: jax.Array | None = None, *, reverse: bool = False,
) -> jax.Array:  # fmt: skip
    """Returns the states (b, t, d) of a GRU whose parameters have the order of GATES along the last axis.

    n_t = tanh(x_t W_n + bias_n + r (h_{t-1} U_n + recurrent_bias)), h_t = (1 - z) n_t + z h_{t-1}, h_0 = 0. The reset gate multiplies
    the product, as in cuDNN, PyTorch and Keras's `reset_after`, so one product a step serves all gates. See `recurrent_scan` for the mask.
    """
    d = u_dx3d.shape[0]

    def join(projected: jax.Array, recurrent: jax.Array) -> tuple[jax.Array, ...]:
        (gates, candidate), (gates_recurrent, back) = (jnp.split(a, [2 * d], axis=-1) for a in (projected, recurrent))
        return gates + gates_recurrent, candidate, back

    def cell(pre: tuple[jax.Array, ...], carry: Carry) -> Carry:
        gates, candidate, back = pre
        r, z = jnp.split(jax.nn.sigmoid(gates), 2, axis=-1)
        n = jnp.tanh(candidate + r * back)
        return (n + z * (carry[0] - n),)

    back_bias = jnp.concatenate([jnp.zeros_like(recurrent_bias_d, shape=(2 * d,)), recurrent_bias_d])
    return recurrent_scan(cell, 1, x_bxtxf, w_fx3d, u_dx3d, bias_3d, mask_bxt, reverse=reverse, recurrent_bias_g=back_bias, join=join)


class Layer(nn.Module):
    """`gru` with learned parameters: Glorot kernels and orthogonal recurrent kernels per gate, biases 0 except `update_bias`."""

    features: int
    update_bias: float = 0.0  # of z; above 0 the initial network keeps its state for longer, as with an LSTM's forget bias

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
        """Returns the states (b, t, features)."""
        kernel, recurrent_kernel = gate_kernels(self, x_bxtxf.shape[-1], self.features, len(GATES))
        bias = self.param("bias", gate_biases({"r": 0.0, "z": self.update_bias, "n": 0.0}), (len(GATES) * self.features,))
        recurrent_bias = self.param("recurrent_bias", nn.initializers.zeros, (self.features,))
        w, u, b, c = (a.astype(x_bxtxf.dtype) for a in (kernel, recurrent_kernel, bias, recurrent_bias))
        return gru(x_bxtxf, w, u, b, c, mask_bxt, reverse=reverse)
