"""A recurrent network reads an image as a sequence, and a dense layer names it: by rows, by columns, pixel by pixel.

The seed's programs are its settings: LSTM(50) with relu on candidate and output over the 28 rows of a digit, kernels drawn
as Keras draws them (`cell="lstm(activation=relu, draw=matrix)"`); Elman(50) with relu.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import chosen
from imgloc.nn.image_sequence import as_sequence, read_at
from imgloc.nn.partial_predictions import ending_with, evenly, for_each, read_by
from imgloc.nn.stack import Stack
from imgloc.types import IntArray, Outputs

TINY = {"features": 8}
STEPS_SHOWN = 28  # steps at most that `steps` tells of: of MNIST's pixels a row's worth each


class Model(nn.Module):
    """Outputs: logits; features: states (b, t, features); steps: logits as they form.

    No `steps` where the answer is not that of a state that has read a part: of two directions, one comes from the end.
    """

    num_classes: int
    cell: str = "lstm"  # a file of imgloc/nn/cells, with settings of its Layer in brackets
    features: int = 128  # of each layer, both directions together
    layers: int = 1
    bidirectional: bool = False
    residual: bool = False  # each layer reads the normalized sequence and adds to it
    read: str = "rows"  # columns, pixels, permuted_pixels
    permutation: int = 0  # which order permuted_pixels are read in
    summary: str = "last"  # state that is named, of each direction where it has read all; mean: that of all states
    dropout: float = 0.0

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        sequence = as_sequence(images, self.read, self.permutation)
        stack = Stack(
            self.cell, self.features, layers=self.layers, bidirectional=self.bidirectional, residual=self.residual, dropout=self.dropout,
            name="stack",
        )  # fmt: skip
        states = stack(sequence, train=train)
        last = _ends if self.bidirectional else _last
        summaries = {"last": (last, _last_so_far), "mean": (_mean, _mean_so_far)}
        summarize, so_far = chosen("summary (model.summary)", self.summary, summaries)
        classes = nn.Dense(self.num_classes, kernel_init=nn.initializers.glorot_uniform(), name="classes")
        logits = classes(summarize(states))
        outputs = {"logits": logits, "features": {"states": states}}
        if train or self.bidirectional:
            return outputs
        steps = evenly(states.shape[1], STEPS_SHOWN)
        seen = read_by(read_at(self.read, images.shape[1], images.shape[2], self.permutation), steps)
        forming = ending_with(classes(so_far(states, steps)), logits)
        return {**outputs, "partial_predictions": {"logits": forming, "seen": for_each(seen, len(images))}}


def _last(states_bxtxd: jax.Array) -> jax.Array:
    return states_bxtxd[:, -1]


def _mean(states_bxtxd: jax.Array) -> jax.Array:
    return states_bxtxd.mean(axis=1)


def _last_so_far(states_bxtxd: jax.Array, steps_s: IntArray) -> jax.Array:
    return states_bxtxd[:, steps_s]


def _mean_so_far(states_bxtxd: jax.Array, steps_s: IntArray) -> jax.Array:
    """Means (b, s, d) of the states up to each step."""
    total_bxtxd = jnp.cumsum(states_bxtxd.astype(jnp.float32), axis=1)
    return (total_bxtxd[:, steps_s] / (steps_s + 1)[:, None]).astype(states_bxtxd.dtype)


def _ends(states_bxtxd: jax.Array) -> jax.Array:
    """Where each direction has read all: the last step's forward half, the first step's backward half."""
    half = states_bxtxd.shape[-1] // 2
    return jnp.concatenate([states_bxtxd[:, -1, :half], states_bxtxd[:, 0, half:]], axis=-1)
