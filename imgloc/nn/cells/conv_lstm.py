"""The convolutional LSTM (Shi et al., 2015, arXiv:1506.04214) over sequences of maps, without peepholes, as in Keras and linen."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.nn.cells.lstm import GATES
from imgloc.nn.conv import conv
from imgloc.nn.initializers import gate_biases, per_gate
from imgloc.nn.masking import Carry, time_major, zero_masked
from imgloc.nn.recurrence import recurrent_scan


def conv_lstm(
    x_bxtxhxwxc: jax.Array, kernel_kxkxcx4d: jax.Array, recurrent_kernel_kxkxdx4d: jax.Array, bias_4d: jax.Array,
    mask_bxt: jax.Array | None = None, *, reverse: bool = False, num_passes: int = 1,
) -> jax.Array:  # fmt: skip
    """Returns the states (b, t num_passes, h, w, d) of an LSTM whose products are convolutions with SAME padding.

    Each of the t maps is read `num_passes` times in succession. Gates and mask are those of `imgloc.nn.cells.lstm.lstm`.
    """
    b, t, h, w, c = x_bxtxhxwxc.shape
    maps = time_major(zero_masked(x_bxtxhxwxc, mask_bxt)).reshape(t * b, h, w, c)
    projected = (conv(maps, kernel_kxkxcx4d) + bias_4d).reshape(t, b, h, w, -1)
    if num_passes > 1:
        projected = jnp.repeat(projected, num_passes, axis=0)
        mask_bxt = None if mask_bxt is None else jnp.repeat(mask_bxt, num_passes, axis=1)

    def cell(total: jax.Array, carry: Carry) -> Carry:
        i, f, g, o = jnp.split(total, len(GATES), axis=-1)
        state = jax.nn.sigmoid(f) * carry[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(state), state

    return recurrent_scan(
        cell, 2, time_major(projected), None, recurrent_kernel_kxkxdx4d, None, mask_bxt, reverse=reverse, multiply=conv
    )  # fmt: skip


class Layer(nn.Module):
    """`conv_lstm` with learned parameters: LeCun normal and orthogonal kernels per gate, biases 0 except the forget gate's."""

    features: int
    kernel_size: int = 3  # odd: an even kernel shifts the state by half a pixel in each step
    forget_bias: float = 1.0
    num_passes: int = 1  # over each map of the sequence

    @nn.compact
    def __call__(self, x_bxtxhxwxc: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
        """Returns the states (b, t num_passes, h, w, features). Raises UserError for inputs of another rank and an even kernel."""
        if x_bxtxhxwxc.ndim != 5:
            raise UserError(f"cell 'conv_lstm' got inputs of shape {x_bxtxhxwxc.shape}; possible: maps (b, t, h, w, c), or another cell")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise UserError(f"setting 'kernel_size' of cell 'conv_lstm' is {self.kernel_size}; possible: an odd number, at least 1")
        if self.num_passes < 1:
            raise UserError(f"setting 'num_passes' of cell 'conv_lstm' is {self.num_passes}; possible: at least 1")
        k, d, gates = self.kernel_size, self.features, len(GATES)
        lecun, orthogonal = (per_gate(init, gates) for init in (nn.initializers.lecun_normal(), nn.initializers.orthogonal()))
        parameters = (
            self.param("kernel", lecun, (k, k, x_bxtxhxwxc.shape[-1], gates * d)),
            self.param("recurrent_kernel", orthogonal, (k, k, d, gates * d)),
            self.param("bias", gate_biases({gate: self.forget_bias if gate == "f" else 0.0 for gate in GATES}), (gates * d,)),
        )
        kernel, recurrent_kernel, bias = (a.astype(x_bxtxhxwxc.dtype) for a in parameters)
        return conv_lstm(x_bxtxhxwxc, kernel, recurrent_kernel, bias, mask_bxt, reverse=reverse, num_passes=self.num_passes)
