"""The gated recurrent unit (Cho et al., 2014, arXiv:1406.1078), its reset gate behind the state's product."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.nn.affine import affine_recur
from imgloc.nn.initializers import bias_of_gates, kernels
from imgloc.nn.recurrence import Carry

GATES = ("r", "z", "n")  # reset, update, candidate: PyTorch's order; Keras has z first


def gru(
    x_bxtxf: jax.Array, w_fx3d: jax.Array, u_dx3d: jax.Array, bias_3d: jax.Array, recurrent_bias_d: jax.Array,
    mask_bxt: jax.Array | None = None, *, reverse: bool = False,
) -> jax.Array:  # fmt: skip
    """States (b, t, d) of a GRU with its gates in the order of GATES along the parameters' last axis.

    n_t = tanh(x_t W_n + bias_n + r (h_{t-1} U_n + recurrent_bias)), h_t = (1 - z) n_t + z h_{t-1}, h_0 = 0: the reset gate works on the
    product, as in cuDNN, PyTorch and Keras's `reset_after`; one product a step then does for all gates. Mask and `reverse` are those
    of `imgloc.nn.recurrence.recur`.
    """
    d = u_dx3d.shape[0]

    def join(projected: jax.Array, recurrent: jax.Array) -> tuple[jax.Array, ...]:
        (gates, into), (gates_recurrent, back) = (jnp.split(a, [2 * d], axis=-1) for a in (projected, recurrent))
        return gates + gates_recurrent, into, back

    def cell(pre: tuple[jax.Array, ...], carry: Carry) -> Carry:
        gates, into, back = pre
        r, z = jnp.split(jax.nn.sigmoid(gates), 2, axis=-1)
        n = jnp.tanh(into + r * back)
        return (n + z * (carry[0] - n),)

    back_bias = jnp.concatenate([jnp.zeros_like(recurrent_bias_d, shape=(2 * d,)), recurrent_bias_d])
    return affine_recur(cell, 1, x_bxtxf, w_fx3d, u_dx3d, bias_3d, mask_bxt, reverse=reverse, recurrent_bias_g=back_bias, join=join)


class Layer(nn.Module):
    """`gru` with learned parameters: input Glorot, recurrence orthogonal, each gate for itself; biases 0 but for `update_bias`."""

    features: int
    update_bias: float = 0.0  # of z; above 0 a state lasts at first, as with an LSTM's forget bias

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
        """States (b, t, features)."""
        kernel, recurrent_kernel = kernels(self, x_bxtxf.shape[-1], self.features, len(GATES))
        bias = self.param("bias", bias_of_gates({"r": 0.0, "z": self.update_bias, "n": 0.0}), (len(GATES) * self.features,))
        recurrent_bias = self.param("recurrent_bias", nn.initializers.zeros, (self.features,))
        w, u, b, c = (a.astype(x_bxtxf.dtype) for a in (kernel, recurrent_kernel, bias, recurrent_bias))
        return gru(x_bxtxf, w, u, b, c, mask_bxt, reverse=reverse)
