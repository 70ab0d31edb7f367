"""Spatial recurrent layers: the columns or rows of maps are read as sequences, in one of four directions."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import freeze

from imgloc.errors import UserError, look_up
from imgloc.nn.cell import Cell, check_layers, check_states, make_layer
from imgloc.nn.conv import Conv
from imgloc.nn.stack import Bidirectional

DIRECTIONS = {"down": ("columns", False), "up": ("columns", True), "right": ("rows", False), "left": ("rows", True)}
LINES: dict[str, Callable[[jax.Array], jax.Array]] = {  # maps (b, h, w, c) to (b, lines, t, c); also the inverse
    "columns": lambda maps: jnp.swapaxes(maps, 1, 2), "rows": lambda maps: maps,
}  # fmt: skip
IRNN: Cell = freeze({"name": "irnn", "input_projection": False})  # Inside-Outside Net's: the 1x1 convolution before it is the projection


def scan_lines(lines: str, layer: Callable[[jax.Array], jax.Array], maps_bxhxwxc: jax.Array) -> jax.Array:
    """Returns the states (b, h, w, d) of `layer`, (n, t, c) -> (n, t, d), which reads each of the columns or rows separately.

    The lines are stacked along the batch: n = b w columns of t = h places from the top, or n = b h rows of t = w from the left.
    """
    transpose = look_up("lines of maps", lines, LINES)
    lines_bxlxtxc = transpose(maps_bxhxwxc)
    b, count, t, c = lines_bxlxtxc.shape
    return transpose(layer(lines_bxlxtxc.reshape(b * count, t, c)).reshape(b, count, t, -1))


def directional_rnn(layer: Callable[..., jax.Array], maps_bxhxwxc: jax.Array, direction: str) -> jax.Array:
    """Returns the states (b, h, w, d) of a recurrent layer that scans each column or row of the maps in one of DIRECTIONS.

    `layer` is a Layer of `imgloc.nn.cells` for sequences of vectors. Raises UserError for another direction.
    """
    lines, reverse = look_up("direction", direction, DIRECTIONS)
    return scan_lines(lines, lambda x_nxtxc: layer(x_nxtxc, reverse=reverse), maps_bxhxwxc)


def space_to_depth(maps_bxhxwxc: jax.Array, block: int) -> jax.Array:
    """Returns the maps in non-overlapping patches of block x block, each as one vector: (b, h/block, w/block, block block c).

    Raises UserError unless `block` divides height and width.
    """
    b, h, w, c = maps_bxhxwxc.shape
    if block < 1 or h % block or w % block:
        raise UserError(f"maps of {h}x{w} cannot be cut into patches of {block}x{block}; possible: a side that divides both")
    patches = maps_bxhxwxc.reshape(b, h // block, block, w // block, block, c)
    return patches.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // block, w // block, block * block * c)


class ReNet(nn.Module):
    """A layer of ReNet (Visin et al., 2015, arXiv:1505.00393), which takes the place of convolution and pooling.

    It cuts the maps into patches, reads their columns in both directions, and reads the rows of these states in both directions.
    """

    features: int  # of each direction
    patch: int = 2  # side in pixels
    cell: Cell = "gru"

    @nn.compact
    def __call__(self, maps_bxhxwxc: jax.Array) -> jax.Array:
        """Returns the states (b, h/patch, w/patch, 2 features), each of which depends on all of the maps."""
        columns, rows = (Bidirectional(self.cell, self.features, name=name) for name in ("columns", "rows"))
        return scan_lines("rows", rows, scan_lines("columns", columns, space_to_depth(maps_bxhxwxc, self.patch)))


class FourDirectionalRNN(nn.Module):
    """The context layers of Inside-Outside Net (Bell et al., 2016, arXiv:1512.04143).

    Each layer is a 1x1 convolution, shared by four recurrences over its output, one for each direction, whose states are concatenated.
    A 1x1 convolution follows the last layer. After one layer each place depends on its row and column, after two on the whole image.
    """

    features: int  # of the output
    units: int  # of each direction
    layers: int = 2
    cell: Cell = IRNN

    @nn.compact
    def __call__(self, maps_bxhxwxc: jax.Array) -> jax.Array:
        """Returns maps (b, h, w, features), which the paper follows with a relu."""
        check_layers(self.layers)
        x = maps_bxhxwxc
        for i in range(self.layers):
            shared = Conv(self.units, (1, 1), name=f"input{i}")(x)
            layers = {direction: make_layer(self.cell, self.units, name=f"{direction}{i}") for direction in DIRECTIONS}
            states = [directional_rnn(self._checked(layer), shared, direction) for direction, layer in layers.items()]
            x = jnp.concatenate(states, axis=-1)
        return Conv(self.features, (1, 1), name="output")(x)

    def _checked(self, layer: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        return lambda x, **options: check_states(self.cell, layer(x, **options), x, self.units)
