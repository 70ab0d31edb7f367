"""The seed's recurrences as a localizer: over the rows of the canvas, then over its columns.

Each pass reads the image line by line and says at each line how likely an edge of the object is
there: rows give the top and bottom edge, columns the left and right (expected positions under a
softmax over the lines). The second pass also reads the first one's last state, so the class, read
from both last states, knows the whole image from both sides.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc import boxes
from imgloc.errors import check_at_least, check_dropout
from imgloc.nn.cell import check_states, make_layer
from imgloc.nn.image_sequence import columns, rows
from imgloc.nn.partial_predictions import ending_with, evenly, for_each, read_by
from imgloc.types import Outputs

TINY = {"features": 8, "hidden": 8}
LINES_SHOWN = 16  # lines at most of each pass that `steps` tells of


class Model(nn.Module):
    """Outputs: logits, box; features: rows (b, h, d), columns (b, w, d), the states of both passes; steps: logits and box as they form.

    In the steps of the first pass the box has the whole width but for its shift, and what the second one would have found is zero.
    """

    num_classes: int
    cell: str = "lstm"  # a file of imgloc/nn/cells, with settings of its Layer in brackets
    features: int = 128  # units of each pass
    hidden: int = 128  # units of the dense layer before the class
    dropout: float = 0.0

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        check_at_least(1, hidden=self.hidden)
        check_dropout(self.dropout)
        rows_in = rows(images)
        seen_rows = check_states(self.cell, make_layer(self.cell, self.features, name="rows")(rows_in), rows_in, self.features)
        context = jnp.broadcast_to(seen_rows[:, -1:], (images.shape[0], images.shape[2], self.features))
        columns_in = jnp.concatenate([columns(images), context], axis=-1)
        seen_columns = make_layer(self.cell, self.features, name="columns")(columns_in)
        seen_columns = check_states(self.cell, seen_columns, columns_in, self.features)

        by_row, by_column = nn.Dense(2, name="row_edges")(seen_rows), nn.Dense(2, name="column_edges")(seen_columns)
        hidden, drop = nn.Dense(self.hidden), nn.Dropout(self.dropout, deterministic=not train)
        shift, classes = nn.Dense(4, kernel_init=nn.initializers.zeros, name="shift"), nn.Dense(self.num_classes, name="classes")

        def answer(y: Pass, x: Pass) -> dict[str, jax.Array]:
            """logits (..., k) and box (..., 4) from what both passes have found."""
            summary = jnp.concatenate([y.last, x.last, y.at_edges, x.at_edges], axis=-1)
            summary = drop(nn.relu(hidden(summary)))
            moved = 0.1 * jnp.tanh(shift(summary).astype(jnp.float32))
            edges = jnp.stack([x.edges[..., 0], y.edges[..., 0], x.edges[..., 1], y.edges[..., 1]], axis=-1)
            return {"logits": classes(summary), "box": boxes.from_edges(edges + moved)}

        outputs = answer(_pass(by_row, seen_rows), _pass(by_column, seen_columns))
        features = {"rows": seen_rows, "columns": seen_columns}
        if train:
            return {**outputs, "features": features}
        forming = answer(*_so_far(_passes_so_far(by_row, seen_rows), _passes_so_far(by_column, seen_columns)))
        steps = {name: ending_with(forming[name], outputs[name]) for name in outputs}
        return {**outputs, "features": features, "partial_predictions": {**steps, "seen": for_each(_seen(*images.shape[1:3]), len(images))}}


class Pass(NamedTuple):
    """What a pass over the lines has found; of several moments of it, with an axis s after b."""

    edges: jax.Array  # (b, 2): where the edges are expected, in [0, 1] along the lines
    at_edges: jax.Array  # (b, 2 d): the states there
    last: jax.Array  # (b, d): its last state


def _pass(scores_bxtx2: jax.Array, states_bxtxd: jax.Array) -> Pass:
    probability = jax.nn.softmax(scores_bxtx2.astype(jnp.float32), axis=1)
    positions = jnp.linspace(0.0, 1.0, scores_bxtx2.shape[1])
    seen = jnp.einsum("bte,btd->bed", probability.astype(states_bxtxd.dtype), states_bxtxd)
    return Pass(jnp.einsum("bte,t->be", probability, positions), seen.reshape(len(seen), -1), states_bxtxd[:, -1])


def _passes_so_far(scores_bxtx2: jax.Array, states_bxtxd: jax.Array) -> Pass:
    """A pass as it was after each of the lines that are shown: of the lines after it nothing is known."""
    steps = evenly(scores_bxtx2.shape[1], LINES_SHOWN)
    ahead_sxt = np.arange(scores_bxtx2.shape[1]) > steps[:, None]
    known = jnp.where(ahead_sxt[None, :, :, None], -jnp.inf, scores_bxtx2.astype(jnp.float32)[:, None])
    probability = jax.nn.softmax(known, axis=2)
    positions = jnp.linspace(0.0, 1.0, scores_bxtx2.shape[1])
    seen = jnp.einsum("bste,btd->bsed", probability.astype(states_bxtxd.dtype), states_bxtxd)
    return Pass(jnp.einsum("bste,t->bse", probability, positions), seen.reshape(*seen.shape[:2], -1), states_bxtxd[:, steps])


def _so_far(rows_so_far: Pass, columns_so_far: Pass) -> tuple[Pass, Pass]:
    """Both passes at each moment: columns not begun while rows are read, all rows read while columns are."""
    s_rows, s_columns = rows_so_far.last.shape[1], columns_so_far.last.shape[1]
    y = jax.tree.map(lambda a: jnp.concatenate([a, jnp.repeat(a[:, -1:], s_columns, axis=1)], axis=1), rows_so_far)
    begun = jax.tree.map(lambda a: jnp.zeros_like(jnp.repeat(a[:, :1], s_rows, axis=1)), columns_so_far)
    begun = begun._replace(edges=begun.edges.at[..., 1].set(1.0))  # the whole width
    return y, jax.tree.map(lambda *both: jnp.concatenate(both, axis=1), begun, columns_so_far)


def _seen(height: int, width: int) -> jax.Array:
    """(s, h, w): what one of the two passes has read is half seen."""
    lines = [read_by(np.arange(count), evenly(count, LINES_SHOWN)) for count in (height, width)]
    by_rows = jnp.concatenate([lines[0], jnp.ones((len(lines[1]), height))])
    by_columns = jnp.concatenate([jnp.zeros((len(lines[0]), width)), lines[1]])
    return (by_rows[:, :, None] + by_columns[:, None, :]) / 2
