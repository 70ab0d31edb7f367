"""The minimal gated unit, a GRU with one gate for reset and update (Zhou et al., 2016, arXiv:1603.09420), and linen's variant of it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import look_up
from imgloc.nn.initializers import gate_biases, gate_kernels
from imgloc.nn.masking import Carry
from imgloc.nn.recurrence import recurrent_scan

GATES = ("f", "n")  # gate, candidate


def minimal_gru(
    x_bxtxf: jax.Array, w_fx2d: jax.Array, u_dx2d: jax.Array, bias_2d: jax.Array, recurrent_bias_d: jax.Array,
    mask_bxt: jax.Array | None = None, *, gate: str = "keeps", reverse: bool = False,
) -> jax.Array:  # fmt: skip
    """Returns the states (b, t, d) of a minimal gated unit whose parameters have the order of GATES along the last axis.

    f = sigmoid(x_t W_f + h_{t-1} U_f + bias_f), n = tanh(x_t W_n + bias_n + f (h_{t-1} U_n + recurrent_bias)). With `gate="keeps"`
    h_t = f h_{t-1} + (1 - f) n, as in `flax.linen.MGUCell`; with `gate="replaces"` h_t = (1 - f) h_{t-1} + f n, as in the paper, except
    that there f is applied before the product. The two are different networks: n reads either the share of the state that is kept or the
    share that is replaced (https://github.com/google/flax/issues/4608). See `recurrent_scan` for the mask.
    """
    gate_keeps = look_up("gate of minimal_gru", gate, {"keeps": True, "replaces": False})

    def join(projected: jax.Array, recurrent: jax.Array) -> tuple[jax.Array, ...]:
        (f, candidate), (f_recurrent, back) = (jnp.split(a, 2, axis=-1) for a in (projected, recurrent))
        return f + f_recurrent, candidate, back

    def cell(pre: tuple[jax.Array, ...], carry: Carry) -> Carry:
        gate, candidate, back = pre
        f = jax.nn.sigmoid(gate)
        n = jnp.tanh(candidate + f * back)
        return (n + (f if gate_keeps else 1 - f) * (carry[0] - n),)

    back_bias = jnp.concatenate([jnp.zeros_like(recurrent_bias_d), recurrent_bias_d])
    return recurrent_scan(cell, 1, x_bxtxf, w_fx2d, u_dx2d, bias_2d, mask_bxt, reverse=reverse, recurrent_bias_g=back_bias, join=join)


class Layer(nn.Module):
    """`minimal_gru` with learned parameters: Glorot kernels and orthogonal recurrent kernels per gate, biases 0 except `gate_bias`."""

    features: int
    gate: str = "keeps"  # the state, as in linen; or replaces, as in the paper
    gate_bias: float = 1.0  # towards keeping the state, as with an LSTM's forget bias

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
        """Returns the states (b, t, features)."""
        kernel, recurrent_kernel = gate_kernels(self, x_bxtxf.shape[-1], self.features, len(GATES))
        gate_bias = self.gate_bias if self.gate == "keeps" else -self.gate_bias
        bias = self.param("bias", gate_biases({"f": gate_bias, "n": 0.0}), (len(GATES) * self.features,))
        recurrent_bias = self.param("recurrent_bias", nn.initializers.zeros, (self.features,))
        w, u, b, c = (a.astype(x_bxtxf.dtype) for a in (kernel, recurrent_kernel, bias, recurrent_bias))
        return minimal_gru(x_bxtxf, w, u, b, c, mask_bxt, gate=self.gate, reverse=reverse)
