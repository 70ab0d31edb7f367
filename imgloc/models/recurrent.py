"""A localizer of two recurrent passes: over the rows of an image, then over its columns.

Each pass predicts at each line how likely it is an edge of the object; the box edges are expected positions under a softmax over the
lines. Rows give the top and bottom edge, columns the left and right edge. The columns pass also reads the last state of the rows
pass. The class is predicted from the last states of both passes and their states at the edges.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.core import freeze
from jaxtyping import Array, Float

from imgloc import boxes
from imgloc.errors import check_at_least
from imgloc.nn.cell import Cell, check_states, freeze_cell, make_layer
from imgloc.nn.dropout import Dropout
from imgloc.nn.partial_predictions import broadcast_to_batch, evenly_spaced_steps, seen_by_step, with_final_prediction
from imgloc.nn.scan_order import columns, rows
from imgloc.types import Outputs

TINY = {"features": 8, "hidden": 8}
INPUT_FIELDS = ("dropout",)  # inputs of the compiled training step
MAX_PARTIAL_PREDICTIONS = 16  # of each pass


class Model(nn.Module):
    """Outputs: logits, box; features: rows (b, h, d) and columns (b, w, d), the states of both passes; partial_predictions: logits, box.

    In the partial predictions of the first pass the box spans the whole width except for its shift, and the second pass counts as zeros.
    """

    num_classes: int
    cell: Cell = freeze({"name": "lstm"})  # a file of imgloc/nn/cells, and settings of its Layer
    features: int = 128  # units of each pass
    hidden: int = 128  # units of the dense layer before the class
    dropout: float = 0.0

    def __post_init__(self) -> None:
        self.cell = freeze_cell(self.cell)
        super().__post_init__()

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"], *, train: bool) -> Outputs:
        """Returns the outputs for images in [0, 1]."""
        check_at_least(1, hidden=self.hidden)
        row_states = self._states(rows(images), "rows")
        context = jnp.broadcast_to(row_states[:, -1:], (images.shape[0], images.shape[2], self.features))
        column_states = self._states(jnp.concatenate([columns(images), context], axis=-1), "columns")

        row_scores, column_scores = nn.Dense(2, name="row_edges")(row_states), nn.Dense(2, name="column_edges")(column_states)
        hidden, drop = nn.Dense(self.hidden), Dropout(self.dropout, deterministic=not train)
        shift, classes = nn.Dense(4, kernel_init=nn.initializers.zeros, name="shift"), nn.Dense(self.num_classes, name="classes")

        def predict(y: Pass, x: Pass) -> dict[str, jax.Array]:
            """Returns logits (..., k) and box (..., 4) from the summaries of both passes."""
            summary = jnp.concatenate([y.last, x.last, y.at_edges, x.at_edges], axis=-1)
            summary = drop(nn.relu(hidden(summary)))
            offset = 0.1 * jnp.tanh(shift(summary).astype(jnp.float32))
            edges = jnp.stack([x.edges[..., 0], y.edges[..., 0], x.edges[..., 1], y.edges[..., 1]], axis=-1)
            return {"logits": classes(summary), "box": boxes.from_edges(edges + offset)}

        outputs = predict(_summarize(row_scores, row_states), _summarize(column_scores, column_states))
        features = {"rows": row_states, "columns": column_states}
        if train:
            return {**outputs, "features": features}
        partial = predict(*_join_moments(_summarize_by_step(row_scores, row_states), _summarize_by_step(column_scores, column_states)))
        partial = {name: with_final_prediction(partial[name], outputs[name]) for name in outputs}
        seen = broadcast_to_batch(_seen(*images.shape[1:3]), images.shape[0])
        return {**outputs, "features": features, "partial_predictions": {**partial, "seen": seen}}

    def _states(self, sequence_bxtxf: jax.Array, name: str) -> jax.Array:
        states = make_layer(self.cell, self.features, name=name)(sequence_bxtxf)
        return check_states(self.cell, states, sequence_bxtxf, self.features)


class Pass(NamedTuple):
    """The summary of a pass over the lines; with several steps there is an axis s after b."""

    edges: jax.Array  # (b, 2): expected positions of the edges, in [0, 1] along the lines
    at_edges: jax.Array  # (b, 2 d): the states there
    last: jax.Array  # (b, d): the last state


def _summarize(scores_bxtx2: jax.Array, states_bxtxd: jax.Array) -> Pass:
    probability = jax.nn.softmax(scores_bxtx2.astype(jnp.float32), axis=1)
    positions = jnp.linspace(0.0, 1.0, scores_bxtx2.shape[1])
    at_edges = jnp.einsum("bte,btd->bed", probability.astype(states_bxtxd.dtype), states_bxtxd)
    return Pass(jnp.einsum("bte,t->be", probability, positions), at_edges.reshape(at_edges.shape[0], -1), states_bxtxd[:, -1])


def _summarize_by_step(scores_bxtx2: jax.Array, states_bxtxd: jax.Array) -> Pass:
    """Returns the summaries of the pass after each of some evenly spaced lines, from the lines read by then."""
    steps = evenly_spaced_steps(scores_bxtx2.shape[1], MAX_PARTIAL_PREDICTIONS)
    unread_sxt = np.arange(scores_bxtx2.shape[1]) > steps[:, None]
    masked = jnp.where(unread_sxt[None, :, :, None], -jnp.inf, scores_bxtx2.astype(jnp.float32)[:, None])
    probability = jax.nn.softmax(masked, axis=2)
    positions = jnp.linspace(0.0, 1.0, scores_bxtx2.shape[1])
    at_edges = jnp.einsum("bste,btd->bsed", probability.astype(states_bxtxd.dtype), states_bxtxd)
    return Pass(jnp.einsum("bste,t->bse", probability, positions), at_edges.reshape(*at_edges.shape[:2], -1), states_bxtxd[:, steps])


def _join_moments(rows_by_step: Pass, columns_by_step: Pass) -> tuple[Pass, Pass]:
    """Returns both passes at each step: columns are unread while rows are read, and all rows are read while columns are."""
    s_rows, s_columns = rows_by_step.last.shape[1], columns_by_step.last.shape[1]
    y = jax.tree.map(lambda a: jnp.concatenate([a, jnp.repeat(a[:, -1:], s_columns, axis=1)], axis=1), rows_by_step)
    unread = jax.tree.map(lambda a: jnp.zeros_like(jnp.repeat(a[:, :1], s_rows, axis=1)), columns_by_step)
    unread = unread._replace(edges=unread.edges.at[..., 1].set(1.0))  # the whole width
    return y, jax.tree.map(lambda *both: jnp.concatenate(both, axis=1), unread, columns_by_step)


def _seen(height: int, width: int) -> jax.Array:
    """Returns (s, h, w): pixels that one of the two passes has read count as half seen."""
    read_rows, read_columns = (seen_by_step(np.arange(n), evenly_spaced_steps(n, MAX_PARTIAL_PREDICTIONS)) for n in (height, width))
    by_rows = jnp.concatenate([read_rows, jnp.ones((len(read_columns), height))])
    by_columns = jnp.concatenate([jnp.zeros((len(read_rows), width)), read_columns])
    return (by_rows[:, :, None] + by_columns[:, None, :]) / 2
