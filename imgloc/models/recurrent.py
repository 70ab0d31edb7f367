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
from imgloc.recurrent.layers import make_layer
from imgloc.recurrent.orders import columns, rows
from imgloc.types import Outputs

TINY = {"features": 8, "hidden": 8}


class Model(nn.Module):
    """Outputs: logits, box; features: rows (b, h, d), columns (b, w, d), the states of both passes."""

    num_classes: int
    cell: str = "lstm"  # a file of imgloc/recurrent/cells, with settings of its Layer in brackets
    features: int = 128  # units of each pass
    hidden: int = 128  # units of the dense layer before the class
    dropout: float = 0.0

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        seen_rows = make_layer(self.cell, self.features, name="rows")(rows(images))
        context = jnp.broadcast_to(seen_rows[:, -1:], (images.shape[0], images.shape[2], self.features))
        columns_in = jnp.concatenate([columns(images), context], axis=-1)
        seen_columns = make_layer(self.cell, self.features, name="columns")(columns_in)

        y, seen_y = _edges(nn.Dense(2, name="row_edges")(seen_rows), seen_rows)
        x, seen_x = _edges(nn.Dense(2, name="column_edges")(seen_columns), seen_columns)
        summary = jnp.concatenate([seen_rows[:, -1], seen_columns[:, -1], seen_y, seen_x], axis=-1)
        summary = nn.Dropout(self.dropout, deterministic=not train)(nn.relu(nn.Dense(self.hidden)(summary)))
        shift = 0.1 * jnp.tanh(nn.Dense(4, kernel_init=nn.initializers.zeros, name="shift")(summary).astype(jnp.float32))
        edges = jnp.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=-1) + shift
        return {
            "logits": nn.Dense(self.num_classes, name="classes")(summary),
            "box": boxes.from_edges(edges),
            "features": {"rows": seen_rows, "columns": seen_columns},
        }


def _edges(scores_bxtx2: jax.Array, states_bxtxd: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Expected positions (b, 2) in [0, 1] along the lines, and the states (b, 2 d) where they lie."""
    probability = jax.nn.softmax(scores_bxtx2.astype(jnp.float32), axis=1)
    positions = jnp.linspace(0.0, 1.0, scores_bxtx2.shape[1])
    seen = jnp.einsum("bte,btd->bed", probability.astype(states_bxtxd.dtype), states_bxtxd)
    return jnp.einsum("bte,t->be", probability, positions), seen.reshape(seen.shape[0], -1)
