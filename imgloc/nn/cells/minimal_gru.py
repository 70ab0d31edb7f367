"""The minimal gated unit, a GRU whose one gate both resets and updates (Zhou et al., 2016, arXiv:1603.09420), and linen's, another one."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import chosen
from imgloc.nn.affine import affine_recur
from imgloc.nn.initializers import bias_of_gates, kernels
from imgloc.nn.recurrence import Carry

GATES = ("f", "n")  # gate, candidate


def minimal_gru(
    x_bxtxf: jax.Array, w_fx2d: jax.Array, u_dx2d: jax.Array, bias_2d: jax.Array, recurrent_bias_d: jax.Array,
    mask_bxt: jax.Array | None = None, *, gate: str = "keeps", reverse: bool = False,
) -> jax.Array:  # fmt: skip
    """States (b, t, d) of a minimal gated unit with gate and candidate side by side along the parameters' last axis.

    f = sigmoid(x_t W_f + h_{t-1} U_f + bias_f), n = tanh(x_t W_n + bias_n + f (h_{t-1} U_n + recurrent_bias)). A `gate` that keeps:
    h_t = f h_{t-1} + (1 - f) n, as `flax.linen.MGUCell` has it; one that replaces: h_t = (1 - f) h_{t-1} + f n, as the paper has it, except
    that its f works before the product. These are two networks: is the share of the state that n reads the one kept or the one replaced
    (https://github.com/google/flax/issues/4608)? Mask and `reverse` are those of `imgloc.nn.recurrence.recur`.
    """
    gate_keeps = chosen("gate of minimal_gru", gate, {"keeps": True, "replaces": False})

    def join(projected: jax.Array, recurrent: jax.Array) -> tuple[jax.Array, ...]:
        (f, into), (f_recurrent, back) = (jnp.split(a, 2, axis=-1) for a in (projected, recurrent))
        return f + f_recurrent, into, back

    def cell(pre: tuple[jax.Array, ...], carry: Carry) -> Carry:
        gate, into, back = pre
        f = jax.nn.sigmoid(gate)
        n = jnp.tanh(into + f * back)
        return (n + (f if gate_keeps else 1 - f) * (carry[0] - n),)

    back_bias = jnp.concatenate([jnp.zeros_like(recurrent_bias_d), recurrent_bias_d])
    return affine_recur(cell, 1, x_bxtxf, w_fx2d, u_dx2d, bias_2d, mask_bxt, reverse=reverse, recurrent_bias_g=back_bias, join=join)


class Layer(nn.Module):
    """`minimal_gru` with learned parameters: input Glorot, recurrence orthogonal, biases 0 but the gate's."""

    features: int
    gate: str = "keeps"  # the state, as linen's; or replaces, as the paper's
    gate_bias: float = 1.0  # towards keeping, so that a state lasts at first, as an LSTM's forget bias does

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
        """States (b, t, features)."""
        kernel, recurrent_kernel = kernels(self, x_bxtxf.shape[-1], self.features, len(GATES))
        gate_bias = self.gate_bias if self.gate == "keeps" else -self.gate_bias
        bias = self.param("bias", bias_of_gates({"f": gate_bias, "n": 0.0}), (len(GATES) * self.features,))
        recurrent_bias = self.param("recurrent_bias", nn.initializers.zeros, (self.features,))
        w, u, b, c = (a.astype(x_bxtxf.dtype) for a in (kernel, recurrent_kernel, bias, recurrent_bias))
        return minimal_gru(x_bxtxf, w, u, b, c, mask_bxt, gate=self.gate, reverse=reverse)
