from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc.nn.tracking import moved, read_windows, track, windows_around
from imgloc.types import Tracks, Video


class State(NamedTuple):
    boxes: jax.Array


class Right(nn.Module):
    """Moves every box to the right by 0.1 in each frame."""

    def start(self, frame_bxhxwxc: jax.Array, boxes_bxnx4: jax.Array) -> State:
        return State(boxes_bxnx4)

    def step(self, state: State, frame_bxhxwxc: jax.Array) -> tuple[State, jax.Array]:
        found = state.boxes + jnp.array([0.1, 0.0, 0.1, 0.0])
        return State(found), frame_bxhxwxc.mean(axis=(1, 2)) * jnp.ones(found.shape[:2])

    def __call__(self, video: Video) -> dict[str, jax.Array]:
        return dict(track(self, video))


def test_a_video_is_read_frame_by_frame_from_the_given_boxes() -> None:
    frames = jnp.arange(4.0)[None, :, None, None, None] / 10 * jnp.ones((2, 4, 8, 8, 1))
    start = jnp.array([[[0.0, 0.2, 0.1, 0.4]], [[0.3, 0.3, 0.5, 0.5]]])
    outputs = Right().apply({}, Video(frames, start))
    np.testing.assert_allclose(outputs["tracks"][:, 0], start)
    np.testing.assert_allclose(outputs["tracks"][:, :, 0, 0], [[0.0, 0.1, 0.2, 0.3], [0.3, 0.4, 0.5, 0.6]], atol=1e-6)
    np.testing.assert_allclose(outputs["track_logits"][0, 1:, 0], [0.1, 0.2, 0.3], atol=1e-6)
    np.testing.assert_allclose(outputs["track_scores"][0, :, 0], [1, *(1 / (1 + np.exp([-0.1, -0.2, -0.3])))], atol=1e-6)


def test_training_starts_again_from_the_true_box_of_an_object_that_can_be_seen() -> None:
    boxes = np.tile(np.float32([0.0, 0.2, 0.1, 0.4]), (1, 6, 2, 1))
    visible = np.ones((1, 6, 2), np.float32)
    visible[0, :, 1] = 0
    truth = Tracks(boxes, np.ones((1, 6, 2), bool), visible)
    outputs = Right().apply({}, Video(jnp.zeros((1, 6, 8, 8, 1)), jnp.asarray(boxes[:, 0]), truth))
    np.testing.assert_allclose(outputs["tracks"][0, :, 0, 0], [0.0, 0.1, 0.1, 0.1, 0.1, 0.1], atol=1e-6)  # lost after each step
    np.testing.assert_allclose(outputs["tracks"][0, :, 1, 0], np.arange(6) / 10, atol=1e-6)  # hidden, so it is not corrected


def test_windows_show_the_surroundings_of_boxes() -> None:
    frame = jnp.arange(64.0).reshape(1, 8, 8, 1)
    windows = windows_around(jnp.array([[[0.25, 0.25, 0.5, 0.5], [0.5, 0.5, 0.75, 0.75]]]), (1, 8, 8, 1), 2.0)
    np.testing.assert_allclose(windows[0], [[0.375, 0.375, 0.5, 0.5], [0.625, 0.625, 0.5, 0.5]], atol=1e-6)
    pixels = read_windows(frame, windows, 4)
    assert pixels.shape == (1, 2, 4, 4, 1)
    np.testing.assert_allclose(pixels[0, 0, ..., 0], frame[0, 1:5, 1:5, 0], atol=1e-4)
    np.testing.assert_allclose(pixels[0, 1, ..., 0], frame[0, 3:7, 3:7, 0], atol=1e-4)


def test_a_change_moves_and_resizes_a_box_within_limits() -> None:
    box, window = jnp.array([[[0.4, 0.4, 0.6, 0.6]]]), jnp.array([[[0.5, 0.5, 0.4, 0.4]]])
    np.testing.assert_allclose(moved(box, window, jnp.zeros((1, 1, 4))), box, atol=1e-6)
    far = moved(box, window, jnp.array([[[100.0, 0.0, 100.0, 0.0]]]))[0, 0]
    np.testing.assert_allclose((far[0] + far[2]) / 2, 0.7, atol=1e-6)  # half a window to the right
    np.testing.assert_allclose(far[2] - far[0], 0.2 * np.exp(0.25), rtol=1e-5)
    np.testing.assert_allclose(far[3] - far[1], 0.2, rtol=1e-5)
    near = moved(box, window, jnp.array([[[0.0, 0.0, -100.0, 0.0]]]))[0, 0]
    np.testing.assert_allclose(near[2] - near[0], 0.2 * np.exp(-0.25), rtol=1e-5)
