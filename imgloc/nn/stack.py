"""Stacks of recurrent layers, in one or in both directions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.nn.cell import Cell, check_layers, check_states, freeze_cell, make_layer
from imgloc.nn.dropout import Dropout
from imgloc.nn.masking import hold_last, zero_masked


class Bidirectional(nn.Module):
    """Forward and backward states side by side, (b, t, 2 features) (Schuster and Paliwal, 1997)."""

    cell: Cell
    features: int  # of each direction

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None) -> jax.Array:
        """Returns the states; at a masked step each direction has those of its previous step."""
        forward, backward = (make_layer(self.cell, self.features, name=name) for name in ("forward", "backward"))
        both = forward(x_bxtxf, mask_bxt), backward(x_bxtxf, mask_bxt, reverse=True)
        return jnp.concatenate([check_states(self.cell, states, x_bxtxf, self.features) for states in both], axis=-1)


class Stack(nn.Module):
    """Several recurrent layers of one cell (Graves, 2013, arXiv:1308.0850).

    With `residual` the sequence is first projected to `features`, and each layer reads the normalized sequence and adds its states to
    it (pre-norm). For sequences of maps (b, t, h, w, c), which `conv_lstm` reads, the states are maps too.
    """

    cell: Cell
    features: int  # of each layer, both directions together
    layers: int = 1
    bidirectional: bool = False
    residual: bool = False
    dropout: float | jax.Array = 0.0  # of the states of every layer

    def __post_init__(self) -> None:
        self.cell = freeze_cell(self.cell)
        super().__post_init__()

    @nn.compact
    def __call__(self, x_bxtxf: jax.Array, mask_bxt: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        """Returns the states (b, t, features) of the last layer. Raises UserError for fields out of range."""
        self._check()
        x = zero_masked(x_bxtxf, mask_bxt)
        x = nn.Dense(self.features, dtype=x.dtype, name="encoder")(x) if self.residual else x
        for i in range(self.layers):
            name = f"layer{i}"
            both = Bidirectional(self.cell, self.features // 2, name=name) if self.bidirectional else None
            layer = both or make_layer(self.cell, self.features, name=name)
            inputs = nn.LayerNorm(dtype=x.dtype, name=f"norm{i}")(x) if self.residual else x
            states = check_states(self.cell, layer(inputs, mask_bxt), inputs, self.features)
            states = Dropout(self.dropout, deterministic=not train)(states)
            x = x + states if self.residual else states
        if not self.residual:
            return x  # the states of a layer are constant at masked steps; their sums with its inputs are not
        if not self.bidirectional:
            return hold_last(x, mask_bxt)
        forward, backward = jnp.split(x, 2, axis=-1)
        return jnp.concatenate([hold_last(forward, mask_bxt), hold_last(backward, mask_bxt, reverse=True)], axis=-1)

    def _check(self) -> None:
        check_layers(self.layers)
        if self.features < 1 or (self.bidirectional and self.features % 2):
            possible = "an even number of at least 2, shared by two directions" if self.bidirectional else "at least 1"
            raise UserError(f"the layers of a stack have {self.features} features; possible: {possible}")
