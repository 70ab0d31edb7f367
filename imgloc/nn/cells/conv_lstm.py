"""The convolutional LSTM (Shi et al., 2015, arXiv:1506.04214) over sequences of maps, without its peepholes, as Keras and linen have it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.nn.affine import affine_recur
from imgloc.nn.cells.lstm import GATES
from imgloc.nn.conv import conv
from imgloc.nn.initializers import bias_of_gates, by_gate
from imgloc.nn.recurrence import Carry, time_first, without_padding


def conv_lstm(
    x_bxtxhxwxc: jax.Array, kernel_kxkxcx4d: jax.Array, recurrent_kernel_kxkxdx4d: jax.Array, bias_4d: jax.Array,
    mask_bxt: jax.Array | None = None, *, reverse: bool = False, looks: int = 1,
) -> jax.Array:  # fmt: skip
    """States (b, t looks, h, w, d) of an LSTM whose products are convolutions, zero-padded to the maps' own size.

    Each of the t maps is looked at `looks` times, one after another. Gates, mask and `reverse` are those of
    `imgloc.nn.cells.lstm.lstm`.
    """
    b, t, h, w, c = x_bxtxhxwxc.shape
    maps = time_first(without_padding(x_bxtxhxwxc, mask_bxt)).reshape(t * b, h, w, c)
    projected = (conv(maps, kernel_kxkxcx4d) + bias_4d).reshape(t, b, h, w, -1)
    if looks > 1:
        projected = jnp.repeat(projected, looks, axis=0)
        mask_bxt = None if mask_bxt is None else jnp.repeat(mask_bxt, looks, axis=1)

    def cell(total: jax.Array, carry: Carry) -> Carry:
        i, f, g, o = jnp.split(total, len(GATES), axis=-1)
        state = jax.nn.sigmoid(f) * carry[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(state), state

    return affine_recur(
        cell, 2, time_first(projected), None, recurrent_kernel_kxkxdx4d, None, mask_bxt, reverse=reverse, multiply=conv
    )  # fmt: skip


class Layer(nn.Module):
    """`conv_lstm` with learned parameters: kernels LeCun normal and orthogonal, each gate for itself; forget bias 1."""

    features: int
    kernel_size: int = 3  # odd: an even one moves the state by half a pixel a step
    forget_bias: float = 1.0
    looks: int = 1  # at each map of the sequence, one after another

    @nn.compact
    def __call__(self, x_bxtxhxwxc: jax.Array, mask_bxt: jax.Array | None = None, *, reverse: bool = False) -> jax.Array:
        """States (b, t looks, h, w, features). Raises UserError for what is no sequence of maps, and for a kernel that has no middle."""
        if x_bxtxhxwxc.ndim != 5:
            raise UserError(f"cell 'conv_lstm' got inputs of shape {x_bxtxhxwxc.shape}; possible: maps (b, t, h, w, c), or another cell")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise UserError(f"setting 'kernel_size' of cell 'conv_lstm' is {self.kernel_size}; possible: an odd number, at least 1")
        if self.looks < 1:
            raise UserError(f"setting 'looks' of cell 'conv_lstm' is {self.looks}; possible: at least 1")
        k, d, gates = self.kernel_size, self.features, len(GATES)
        lecun, orthogonal = (by_gate(draw, gates) for draw in (nn.initializers.lecun_normal(), nn.initializers.orthogonal()))
        parameters = (
            self.param("kernel", lecun, (k, k, x_bxtxhxwxc.shape[-1], gates * d)),
            self.param("recurrent_kernel", orthogonal, (k, k, d, gates * d)),
            self.param("bias", bias_of_gates({gate: self.forget_bias if gate == "f" else 0.0 for gate in GATES}), (gates * d,)),
        )
        kernel, recurrent_kernel, bias = (a.astype(x_bxtxhxwxc.dtype) for a in parameters)
        return conv_lstm(x_bxtxhxwxc, kernel, recurrent_kernel, bias, mask_bxt, reverse=reverse, looks=self.looks)
