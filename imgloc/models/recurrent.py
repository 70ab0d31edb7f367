"""The seed's recurrences as a localizer: over the rows of the canvas, then over its columns.

Each pass reads the image line by line and says at each line how likely an edge of the object is
there: rows give the top and bottom edge, columns the left and right (expected positions under a
softmax over the lines). The second pass also reads the first one's last state, so the class, read
from both last states, knows the whole image from both sides.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc import boxes
from imgloc.errors import chosen
from imgloc.ops.recurrent import LSTM, Elman
from imgloc.types import Outputs

TINY = {"features": 8, "hidden": 8}
CELLS = {"lstm": LSTM, "elman": Elman}
ACTIVATIONS = {"tanh": jnp.tanh, "relu": nn.relu}


class Model(nn.Module):
    """Outputs: logits, box; features: rows (b, h, d), columns (b, w, d), the states of both passes."""

    num_classes: int
    cell: str = "lstm"  # or elman
    features: int = 128  # units of each pass
    hidden: int = 128  # units of the dense layer before the class
    activation: str = "tanh"  # or relu, as the seed's LSTM
    dropout: float = 0.0

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        layer = chosen("cell (model.cell)", self.cell, CELLS)
        activation = chosen("activation (model.activation)", self.activation, ACTIVATIONS)
        b, h, w, c = images.shape

        rows = layer(self.features, activation, name="rows")(images.reshape(b, h, w * c))
        context = jnp.broadcast_to(rows[:, -1:], (b, w, self.features))
        columns_in = jnp.concatenate([jnp.swapaxes(images, 1, 2).reshape(b, w, h * c), context], axis=-1)
        columns = layer(self.features, activation, name="columns")(columns_in)

        y, seen_y = _edges(nn.Dense(2, name="row_edges")(rows), rows)
        x, seen_x = _edges(nn.Dense(2, name="column_edges")(columns), columns)
        summary = jnp.concatenate([rows[:, -1], columns[:, -1], seen_y, seen_x], axis=-1)
        summary = nn.Dropout(self.dropout, deterministic=not train)(nn.relu(nn.Dense(self.hidden)(summary)))
        shift = 0.1 * jnp.tanh(nn.Dense(4, kernel_init=nn.initializers.zeros, name="shift")(summary).astype(jnp.float32))
        edges = jnp.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=-1) + shift
        return {
            "logits": nn.Dense(self.num_classes, name="classes")(summary),
            "box": boxes.from_edges(edges),
            "features": {"rows": rows, "columns": columns},
        }


def _edges(scores_bxtx2: jax.Array, states_bxtxd: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Expected positions (b, 2) in [0, 1] along the lines, and the states (b, 2 d) where they lie."""
    probability = jax.nn.softmax(scores_bxtx2.astype(jnp.float32), axis=1)
    positions = jnp.linspace(0.0, 1.0, scores_bxtx2.shape[1])
    seen = jnp.einsum("bte,btd->bed", probability.astype(states_bxtxd.dtype), states_bxtxd)
    return jnp.einsum("bte,t->be", probability, positions), seen.reshape(seen.shape[0], -1)
