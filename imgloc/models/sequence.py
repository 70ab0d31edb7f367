"""A recurrent network that reads an image as a sequence of rows, columns or pixels, and classifies it by a dense layer.

The published Keras program is LSTM(50) with relu on candidate and output over the 28 rows of a digit, with kernels initialized as in
Keras: `cell={"name": "lstm", "activation": "relu", "kernel_init": "joint"}`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import freeze
from jaxtyping import Array, Float

from imgloc.errors import look_up
from imgloc.nn.cell import Cell, freeze_cell
from imgloc.nn.partial_predictions import broadcast_to_batch, evenly_spaced_steps, seen_by_step, with_final_prediction
from imgloc.nn.scan_order import image_to_sequence, scan_steps
from imgloc.nn.stack import Stack
from imgloc.types import IntArray, Outputs

TINY = {"features": 8}
INPUT_FIELDS = ("dropout",)  # inputs of the compiled training step
MAX_PARTIAL_PREDICTIONS = 28  # of MNIST's pixels one for each row


class Model(nn.Module):
    """Outputs: logits; features: states (b, t, features); partial_predictions: logits (b, s, k) after part of the sequence.

    There are no partial predictions with two directions, one of which starts at the end of the image.
    """

    num_classes: int
    cell: Cell = freeze({"name": "lstm"})  # a file of imgloc/nn/cells, and settings of its Layer
    features: int = 128  # of each layer, both directions together
    layers: int = 1
    bidirectional: bool = False
    residual: bool = False  # each layer reads the normalized sequence and adds to it
    scan_order: str = "rows"  # rows, columns, pixels or permuted_pixels
    permutation_seed: int = 0  # of permuted_pixels
    pooling: str = "last"  # of the states for the class: the last of each direction, or mean
    dropout: float = 0.0

    def __post_init__(self) -> None:
        self.cell = freeze_cell(self.cell)
        super().__post_init__()

    @nn.compact
    def __call__(self, images: Float[Array, "b h w c"], *, train: bool) -> Outputs:
        """Returns the outputs for images in [0, 1]."""
        sequence = image_to_sequence(images, self.scan_order, self.permutation_seed)
        stack = Stack(
            self.cell, self.features, layers=self.layers, bidirectional=self.bidirectional, residual=self.residual, dropout=self.dropout,
            name="stack",
        )  # fmt: skip
        states = stack(sequence, train=train)
        last = _last_bidirectional if self.bidirectional else _last
        poolings = {"last": (last, _last_by_step), "mean": (_mean, _mean_by_step)}
        pool, pool_by_step = look_up("pooling (model.pooling)", self.pooling, poolings)
        classes = nn.Dense(self.num_classes, kernel_init=nn.initializers.glorot_uniform(), name="classes")
        logits = classes(pool(states))
        outputs = {"logits": logits, "features": {"states": states}}
        if train or self.bidirectional:
            return outputs
        steps = evenly_spaced_steps(states.shape[1], MAX_PARTIAL_PREDICTIONS)
        seen = seen_by_step(scan_steps(self.scan_order, images.shape[1], images.shape[2], self.permutation_seed), steps)
        partial = with_final_prediction(classes(pool_by_step(states, steps)), logits)
        return {**outputs, "partial_predictions": {"logits": partial, "seen": broadcast_to_batch(seen, images.shape[0])}}


def _last(states_bxtxd: jax.Array) -> jax.Array:
    return states_bxtxd[:, -1]


def _mean(states_bxtxd: jax.Array) -> jax.Array:
    return states_bxtxd.mean(axis=1)


def _last_by_step(states_bxtxd: jax.Array, steps_s: IntArray) -> jax.Array:
    return states_bxtxd[:, steps_s]


def _mean_by_step(states_bxtxd: jax.Array, steps_s: IntArray) -> jax.Array:
    """Returns the means (b, s, d) of the states up to each step."""
    total_bxtxd = jnp.cumsum(states_bxtxd.astype(jnp.float32), axis=1)
    return (total_bxtxd[:, steps_s] / (steps_s + 1)[:, None]).astype(states_bxtxd.dtype)


def _last_bidirectional(states_bxtxd: jax.Array) -> jax.Array:
    """Returns the forward half of the last step and the backward half of the first step, each of which has read the whole sequence."""
    half = states_bxtxd.shape[-1] // 2
    return jnp.concatenate([states_bxtxd[:, -1, :half], states_bxtxd[:, 0, half:]], axis=-1)
