"""A recurrent decoder: attends to one part of the image after another, and knows from its state what it has attended to.

The scores of the attention are products of a query and the keys of the cells, minus the coverage of a cell (the sum of the attention that
it has had; Tu et al., 2016, arXiv:1601.04811) times a weight that depends on the state. Products are much cheaper than a hidden layer for
each cell and step. For object detection by an LSTM see ReInspect (Stewart et al., 2016, arXiv:1506.04878).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import check_at_least, look_up
from imgloc.nn.cell import STEP_CELLS

TINY = {"units": 8}


class Decoder(nn.Module):
    """A recurrent cell that reads the mean of the cells under its attention; the attention depends on the state before."""

    units: int = 128  # of the state and of the attention's keys
    cell: str = "lstm"  # lstm, gru or minimal_gru

    is_sequential: ClassVar[bool] = True  # steps depend on the steps before

    @nn.compact
    def __call__(self, memory_bxlxd: jax.Array, steps: int, *, train: bool) -> tuple[jax.Array, jax.Array]:
        """Returns the states (b, m, units) of m steps, and their attention (b, m, l), which sums to 1 over the cells."""
        check_at_least(1, units=self.units)
        start = nn.Dense(self.units, name="start")(memory_bxlxd.mean(axis=1))
        hidden = jnp.tanh(start)
        carry = (jnp.zeros_like(hidden), hidden) if self.cell == "lstm" else hidden
        keys = nn.Dense(self.units, use_bias=False, name="keys")(memory_bxlxd)
        # The parameters are those of every step, and the image is the same at all of them.
        scanned = nn.scan(
            Step, variable_broadcast="params", split_rngs={"params": False}, in_axes=(nn.broadcast, nn.broadcast), out_axes=1, length=steps
        )
        covered = jnp.zeros(memory_bxlxd.shape[:2], jnp.float32)
        _, results = scanned(self.units, self.cell, name="step")((carry, covered), memory_bxlxd, keys)
        states, attention = results
        return states, attention


class Step(nn.Module):
    """One step: attention, then the cell."""

    units: int
    cell: str

    @nn.compact
    def __call__(self, carry: tuple[Any, jax.Array], memory_bxlxd: jax.Array, keys_bxlxu: jax.Array) -> Any:
        """Returns the next carry, and the pair of state (b, units) and attention (b, l)."""
        cell_carry, covered_bxl = carry
        hidden = cell_carry[1] if self.cell == "lstm" else cell_carry
        query = nn.Dense(self.units, name="query")(hidden)
        weight = nn.Dense(1, name="coverage")(hidden).astype(jnp.float32)
        scores = jnp.einsum("bu,blu->bl", query, keys_bxlxu).astype(jnp.float32) / math.sqrt(self.units)
        attention = jax.nn.softmax(scores - weight * covered_bxl)
        context = jnp.einsum("bl,bld->bd", attention.astype(memory_bxlxd.dtype), memory_bxlxd)
        cell = look_up("cell (model.decoder.cell)", self.cell, STEP_CELLS)(self.units, name="cell")
        cell_carry, state = cell(cell_carry, context)
        return (cell_carry, covered_bxl + attention), (state, attention)
