"""Recurrences over the maps of an image: its columns or its rows are read as sequences, all of them at once, in one of four directions."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import UserError, chosen
from imgloc.nn.cell import Cell, check_layers, check_states, make_layer
from imgloc.nn.conv import Conv
from imgloc.nn.stack import Bidirectional

DIRECTIONS = {"down": ("columns", False), "up": ("columns", True), "right": ("rows", False), "left": ("rows", True)}
LINES: dict[str, Callable[[jax.Array], jax.Array]] = {  # maps (b, h, w, c) as (b, lines, t, c), and back
    "columns": lambda maps: jnp.swapaxes(maps, 1, 2), "rows": lambda maps: maps,
}  # fmt: skip
IRNN = "irnn(input_map=False)"  # Inside-Outside Net's: the 1x1 map before it is its input map


def along(lines: str, read: Callable[[jax.Array], jax.Array], maps_bxhxwxc: jax.Array) -> jax.Array:
    """States (b, h, w, d) of `read`, (n, t, c) -> (n, t, d), on each of the lines, columns or rows, of maps by itself.

    The lines stand side by side in the batch: n = b w columns of t = h places from the top, or n = b h rows of t = w from the left.
    """
    turn = chosen("lines of a sweep", lines, LINES)
    lines_bxlxtxc = turn(maps_bxhxwxc)
    b, count, t, c = lines_bxlxtxc.shape
    states: jax.Array = turn(read(lines_bxlxtxc.reshape(b * count, t, c)).reshape(b, count, t, -1))
    return states


def sweep(layer: Callable[..., jax.Array], maps_bxhxwxc: jax.Array, direction: str) -> jax.Array:
    """States (b, h, w, d) of a cell's layer that goes through the maps in one of DIRECTIONS, each column or row by itself.

    `layer` is a Layer of `imgloc.nn.cells` for sequences of vectors. Raises UserError for another direction.
    """
    lines, reverse = chosen("direction of a sweep", direction, DIRECTIONS)
    return along(lines, lambda x_nxtxc: layer(x_nxtxc, reverse=reverse), maps_bxhxwxc)


def patches(maps_bxhxwxc: jax.Array, side: int) -> jax.Array:
    """The maps in squares of side x side that do not overlap, each as one vector: (b, h/side, w/side, side side c).

    Raises UserError where the side does not divide height and width.
    """
    b, h, w, c = maps_bxhxwxc.shape
    if side < 1 or h % side or w % side:
        raise UserError(f"maps of {h}x{w} do not fall into patches of {side}x{side}; possible: a side that divides both")
    squares = maps_bxhxwxc.reshape(b, h // side, side, w // side, side, c)
    return squares.transpose(0, 1, 3, 2, 4, 5).reshape(b, h // side, w // side, side * side * c)


class ReNet(nn.Module):
    """A layer of ReNet (Visin et al., 2015, arXiv:1505.00393), in place of convolution and pooling.

    The maps are cut into patches; their columns are read downward and upward, and the rows of what that gives to the right and to the left.
    """

    features: int  # of each direction
    patch: int = 2  # its side
    cell: Cell = "gru"  # a file of imgloc/nn/cells, with settings of its Layer in brackets

    @nn.compact
    def __call__(self, maps_bxhxwxc: jax.Array) -> jax.Array:
        """States (b, h/patch, w/patch, 2 features): each has seen all of the maps."""
        columns, rows = (Bidirectional(self.cell, self.features, name=name) for name in ("columns", "rows"))
        return along("rows", rows, along("columns", columns, patches(maps_bxhxwxc, self.patch)))


class FourDirections(nn.Module):
    """The context layer of Inside-Outside Net (Bell et al., 2016, arXiv:1512.04143): what lies above, below, left and right of each place.

    A 1x1 map, shared by four recurrences over it, one a direction, whose states are laid side by side; as often as there are `layers`;
    and a 1x1 map at the end. After one layer a place knows its row and its column, after two the whole image.
    """

    features: int  # that leave it
    units: int  # of each direction
    layers: int = 2
    cell: Cell = IRNN  # or another file of imgloc/nn/cells, with settings of its Layer in brackets

    @nn.compact
    def __call__(self, maps_bxhxwxc: jax.Array) -> jax.Array:
        """Maps (b, h, w, features). The paper follows them with a relu."""
        check_layers(self.layers)
        x = maps_bxhxwxc
        for i in range(self.layers):
            shared = Conv(self.units, (1, 1), name=f"input{i}")(x)
            layers = {direction: make_layer(self.cell, self.units, name=f"{direction}{i}") for direction in DIRECTIONS}
            sweeps = [sweep(self._checked(layer), shared, direction) for direction, layer in layers.items()]
            x = jnp.concatenate(sweeps, axis=-1)
        return Conv(self.features, (1, 1), name="output")(x)

    def _checked(self, layer: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        return lambda x, **options: check_states(self.cell, layer(x, **options), x, self.units)
