"""Following objects through the frames of a video: the loop over frames, and crops around boxes.

A model that follows objects has two methods. `start(frame_bxhxwxc, boxes_bxnx4)` returns its state, a NamedTuple with a field `boxes`
(b, n, 4). `step(state, frame_bxhxwxc)` returns the next state and the logits (b, n) of the probabilities that each object can be seen;
the boxes of the frame are those of the state. `track` runs it over a whole video, `imgloc track` frame by frame.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc import boxes
from imgloc.nn.glimpse import bilinear_weights, read_window
from imgloc.types import Outputs, Tracks, Video

LOST = 0.1  # IoU with the true box below which training starts again from the true box
SEEN = 0.25  # visible share from which it does
SMALLEST, LARGEST = 0.01, 1.0  # sides of boxes
MAX_RESIZE = 0.25  # log of the largest change of a side from frame to frame
GIVEN = 20.0  # logit of an object in the first frame, whose box is given: its probability rounds to 1


def track(module: Any, video: Video) -> Outputs:
    """The outputs `tracks` (b, t, n, 4), `track_logits` and `track_scores` (b, t, n) of a video, whose first frame has the given boxes.

    With the truth of the video, as in training, an object that can be seen and is lost is followed from its true box again.
    """
    frames = video.frames_bxtxhxwxc
    start_bxnx4 = video.start_bxnx4.astype(jnp.float32)
    later = frames[:, 1:]
    truth = None if video.truth is None else Tracks(*(jnp.asarray(each)[:, 1:] for each in video.truth))

    def body(module: Any, state: Any, inputs: Any) -> tuple[Any, Any]:
        frame, truth = inputs
        state, logits_bxn = module.step(state, frame)
        found_bxnx4 = state.boxes
        if truth is not None:
            state = state._replace(boxes=_start_again(found_bxnx4, truth))
        return state, (found_bxnx4, logits_bxn)

    scan = nn.scan(body, variable_broadcast=("params", "fitted"), split_rngs={"params": False}, in_axes=1, out_axes=1)
    _, (boxes_bxtxnx4, later_bxtxn) = scan(module, module.start(frames[:, 0], start_bxnx4), (later, truth))
    logits_bxtxn = jnp.concatenate([jnp.full_like(later_bxtxn[:, :1], GIVEN), later_bxtxn], axis=1)
    return {
        "tracks": jnp.concatenate([start_bxnx4[:, None], boxes_bxtxnx4], axis=1),
        "track_logits": logits_bxtxn,
        "track_scores": jax.nn.sigmoid(logits_bxtxn.astype(jnp.float32)),
    }


def _start_again(found_bxnx4: jax.Array, truth: Tracks) -> jax.Array:
    """The boxes from which the next frame is read in training."""
    overlap = boxes.iou(jax.lax.stop_gradient(found_bxnx4), truth.boxes)
    lost = jnp.asarray(truth.present) & (jnp.asarray(truth.visible) >= SEEN) & (overlap < LOST)
    return jnp.where(lost[..., None], truth.boxes, found_bxnx4)


def windows_around(boxes_bxnx4: jax.Array, shape: tuple[int, ...], context: float) -> jax.Array:
    """Square windows (b, n, 4), as (center x, center y, side x, side y) in [0, 1], `context` times as long as the longer sides.

    `shape` is that of the frames (b, h, w, c).
    """
    squares = boxes.squares_around(jax.lax.stop_gradient(boxes_bxnx4), shape[1], shape[2], context)
    return jnp.concatenate([(squares[..., :2] + squares[..., 2:]) / 2, squares[..., 2:] - squares[..., :2]], axis=-1)


def read_windows(frame_bxhxwxc: jax.Array, windows_bxnx4: jax.Array, size: int) -> jax.Array:
    """The pixels (b, n, size, size, c) of windows of each frame; 0 outside."""
    height, width = frame_bxhxwxc.shape[1:3]

    def of_object(window_bx4: jax.Array) -> jax.Array:
        return read_window(frame_bxhxwxc, bilinear_weights(window_bx4, size, height, width))

    return jax.vmap(of_object, in_axes=1, out_axes=1)(windows_bxnx4)


def moved(boxes_bxnx4: jax.Array, windows_bxnx4: jax.Array, change_bxnx4: jax.Array) -> jax.Array:
    """The boxes after a change: of the center, in half sides of the window, and of the logarithms of the sides.

    The center stays in the window and in [0, 1]. A side changes by a factor between exp(-0.25) = 0.78 and exp(0.25) = 1.28.
    """
    boxes_bxnx4, change = jax.lax.stop_gradient(boxes_bxnx4), change_bxnx4.astype(jnp.float32)
    center = (boxes_bxnx4[..., :2] + boxes_bxnx4[..., 2:]) / 2 + jnp.tanh(change[..., :2]) * windows_bxnx4[..., 2:] / 2
    center = jnp.clip(center, 0.0, 1.0)
    sides = (boxes_bxnx4[..., 2:] - boxes_bxnx4[..., :2]) * jnp.exp(MAX_RESIZE * jnp.tanh(change[..., 2:]))
    sides = jnp.clip(sides, SMALLEST, LARGEST)
    return jnp.concatenate([center - sides / 2, center + sides / 2], axis=-1)
