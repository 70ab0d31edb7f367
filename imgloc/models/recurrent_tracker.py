"""A recurrent tracker: in each frame it reads a window around the last box, and a recurrent cell remembers appearance and motion.

It follows Re3 (Gordon et al., 2018, arXiv:1705.06368), with three differences: the features of the first frame's object are an input
in every frame, instead of those of the last frame; there is one layer of the cell; and training unrolls whole videos.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import check_at_least, look_up
from imgloc.models.trackers.crop_encoder import CropEncoder
from imgloc.nn.cell import STEP_CELLS
from imgloc.nn.tracking import moved, read_windows, track, windows_around
from imgloc.types import Outputs, Video

TINY = {"size": 16, "features": (4, 8), "hidden": 8}
VARIANTS = {"gru": {**TINY, "cell": "gru"}}


class State(NamedTuple):
    """The state of all objects after a frame."""

    boxes: jax.Array  # (b, n, 4)
    shift: jax.Array  # (b, n, 4): the last change of the boxes
    object: jax.Array  # (b, n, d): the features of the objects in the first frame
    carry: Any  # of the cell, (b, n, hidden)


class Model(nn.Module):
    """Outputs: tracks, track_logits, track_scores; see `imgloc.nn.tracking`."""

    num_classes: int
    size: int = 32  # pixels: sides of the window after resampling
    context: float = 2.5  # the side of the window as a multiple of the longer side of the box
    features: tuple[int, ...] = (16, 32, 64)  # of the convolutions, each of which halves the window
    hidden: int = 256  # units of the cell
    cell: str = "lstm"  # lstm, gru or minimal_gru

    def setup(self) -> None:
        # Checks the fields and makes the layers.
        check_at_least(1, hidden=self.hidden)
        self.encoder = CropEncoder(tuple(self.features), self.hidden)
        self.compare = nn.Dense(self.hidden)
        self.recurrence = look_up("cell (model.cell)", self.cell, STEP_CELLS)(features=self.hidden)
        self.change = nn.Dense(5, kernel_init=nn.initializers.normal(0.01))

    def __call__(self, video: Video, *, train: bool) -> Outputs:
        """Returns the outputs for a video with frames in [0, 1]."""
        return track(self, video)

    def start(self, frame_bxhxwxc: jax.Array, boxes_bxnx4: jax.Array) -> State:
        """The state after the first frame."""
        features = self._read(frame_bxhxwxc, boxes_bxnx4)[0]
        carry = self.recurrence.initialize_carry(jax.random.key(0), features.shape)
        carry = jax.tree.map(lambda a: a.astype(features.dtype), carry)
        return State(boxes_bxnx4, jnp.zeros_like(boxes_bxnx4), features, carry)

    def step(self, state: State, frame_bxhxwxc: jax.Array) -> tuple[State, jax.Array]:
        """The state after the next frame, and the logits (b, n) of the probabilities that the objects can be seen."""
        features, windows = self._read(frame_bxhxwxc, state.boxes)
        inputs = [features, state.object, features * state.object, state.shift.astype(features.dtype)]
        compared = nn.relu(self.compare(jnp.concatenate(inputs, axis=-1)))
        carry, hidden = self.recurrence(state.carry, compared)
        change = self.change(jnp.concatenate([hidden, compared], axis=-1))
        found = moved(state.boxes, windows, change[..., :4])
        return State(found, jnp.tanh(change[..., :4].astype(jnp.float32)), state.object, carry), change[..., 4]

    def _read(self, frame_bxhxwxc: jax.Array, boxes_bxnx4: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The features (b, n, d) of the windows around boxes, and the windows (b, n, 4)."""
        windows = windows_around(boxes_bxnx4, frame_bxhxwxc.shape, self.context)
        return self.encoder(read_windows(frame_bxhxwxc, windows, self.size)), windows
