"""Layers on layers: both directions of a sequence side by side, and one layer's states as the next one's input."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.nn.cell import Cell, check_layers, check_states, make_layer
from imgloc.nn.recurrence import held, without_padding


class Bidirectional(nn.Module):
    """States (b, t, 2 features): those of a pass forward, then those of one backward (Schuster and Paliwal, 1997)."""

    cell: Cell
    features: int  # of each direction

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None) -> jax.Array:
        """Forward and backward states of each step; one left out by the mask has those of the step before, or after, it."""
        forward, backward = (make_layer(self.cell, self.features, name=name) for name in ("forward", "backward"))
        both = forward(x_bxtxf, mask_bxt), backward(x_bxtxf, mask_bxt, reverse=True)
        return jnp.concatenate([check_states(self.cell, states, x_bxtxf, self.features) for states in both], axis=-1)


class Stack(nn.Module):
    """Several layers of one cell over a sequence (Graves, 2013, arXiv:1308.0850): states (b, t, features) of the last.

    With `residual` each layer reads the normalized sequence and adds to it (pre-norm), after a dense map to `features`.
    Of maps (b, t, h, w, c), which `conv_lstm` reads, states are maps too.
    """

    cell: Cell
    features: int  # of each layer; of both directions together
    layers: int = 1
    bidirectional: bool = False
    residual: bool = False
    dropout: float = 0.0  # of each layer's states, the last one's too

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        """States of the last layer. Raises UserError for fields that make no stack."""
        self._check()
        x = without_padding(x_bxtxf, mask_bxt)
        x = nn.Dense(self.features, dtype=x.dtype, name="encoder")(x) if self.residual else x
        for i in range(self.layers):
            name = f"layer{i}"
            both = Bidirectional(self.cell, self.features // 2, name=name) if self.bidirectional else None
            layer = both or make_layer(self.cell, self.features, name=name)
            given = nn.LayerNorm(dtype=x.dtype, name=f"norm{i}")(x) if self.residual else x
            states = check_states(self.cell, layer(given, mask_bxt), given, self.features)
            states = nn.Dropout(self.dropout, deterministic=not train)(states)
            x = x + states if self.residual else states
        if not self.residual:
            return x  # a layer's states stand still already, sums with what the layer read do not
        if not self.bidirectional:
            return held(x, mask_bxt)
        forward, backward = jnp.split(x, 2, axis=-1)
        return jnp.concatenate([held(forward, mask_bxt), held(backward, mask_bxt, reverse=True)], axis=-1)

    def _check(self) -> None:
        check_layers(self.layers)
        if self.features < 1 or (self.bidirectional and self.features % 2):
            wanted = "an even number of at least 2, for two directions share them" if self.bidirectional else "at least 1"
            raise UserError(f"a stack's layers have {self.features} features; possible: {wanted}")
        if not 0 <= self.dropout < 1:
            raise UserError(f"a stack's dropout is {self.dropout}; possible: 0 up to, not including, 1")
