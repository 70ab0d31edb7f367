"""A tracker of two frames: the windows around the last box in the last frame and in this one give the box.

It follows GOTURN (Held et al., 2016, arXiv:1604.01802): the windows of both frames pass through the same convolutions, and dense layers
compare them. It remembers nothing but the last frame.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc.errors import check_at_least
from imgloc.models.trackers.crop_encoder import CropEncoder
from imgloc.nn.tracking import moved, read_windows, track, windows_around
from imgloc.types import Outputs, Video

TINY = {"size": 16, "features": (4, 8), "hidden": 8}


class State(NamedTuple):
    """The last frame and the boxes in it."""

    boxes: jax.Array  # (b, n, 4)
    frame: jax.Array  # (b, h, w, c)


class Model(nn.Module):
    """Outputs: tracks, track_logits, track_scores; see `imgloc.nn.tracking`."""

    num_classes: int
    size: int = 32  # pixels: sides of the windows after resampling
    context: float = 2.5  # the side of the windows as a multiple of the longer side of the box
    features: tuple[int, ...] = (16, 32, 64)  # of the convolutions, each of which halves the windows
    hidden: int = 256  # units of the dense layers

    def setup(self) -> None:
        # Checks the fields and makes the layers.
        check_at_least(1, hidden=self.hidden)
        self.encoder = CropEncoder(tuple(self.features), self.hidden)
        self.compare = [nn.Dense(self.hidden) for _ in range(2)]
        self.change = nn.Dense(5, kernel_init=nn.initializers.normal(0.01))

    def __call__(self, video: Video, *, train: bool) -> Outputs:
        """Returns the outputs for a video with frames in [0, 1]."""
        return track(self, video)

    def start(self, frame_bxhxwxc: jax.Array, boxes_bxnx4: jax.Array) -> State:
        """The state after the first frame."""
        return State(boxes_bxnx4, frame_bxhxwxc)

    def step(self, state: State, frame_bxhxwxc: jax.Array) -> tuple[State, jax.Array]:
        """The state after the next frame, and the logits (b, n) of the probabilities that the objects can be seen."""
        windows = windows_around(state.boxes, frame_bxhxwxc.shape, self.context)
        both = [self.encoder(read_windows(frame, windows, self.size)) for frame in (state.frame, frame_bxhxwxc)]
        compared = jnp.concatenate([*both, both[0] * both[1]], axis=-1)
        for layer in self.compare:
            compared = nn.relu(layer(compared))
        change = self.change(compared)
        return State(moved(state.boxes, windows, change[..., :4]), frame_bxhxwxc), change[..., 4]
