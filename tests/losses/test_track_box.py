from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.data.batches.collate import collate
from imgloc.data.sources.moving_digits import source
from imgloc.losses import track_box, track_score
from imgloc.types import Batch, InputSpec
from tests.refusals import assert_refused


def batch() -> Batch:
    split = source("validation", seed=0, objects=2, videos=2, frames=10, occlusion=(3, 4))
    return collate([split[0], split[1]], 3, InputSpec((64, 64, 1), 3))


def test_true_tracks_cost_nothing_and_a_shift_costs_its_distance() -> None:
    videos = batch()
    assert videos.tracks is not None
    assert np.abs(track_box.loss({"tracks": jnp.asarray(videos.tracks.boxes)}, videos)).max() < 1e-6
    moved = jnp.asarray(videos.tracks.boxes).at[0, 4, 0].add(0.1)
    one, both = (np.asarray(track_box.loss({"tracks": moved}, videos, l1=l1, hidden=1.0)) for l1 in (0.0, 1.0))
    assert (both - one)[0] == pytest.approx(0.4 / (9 * 2), rel=1e-4)  # 9 frames, 2 objects
    assert one[1:].max() == 0


def test_the_first_frame_and_padding_cost_nothing() -> None:
    videos = batch()
    assert videos.tracks is not None
    wrong = jnp.asarray(videos.tracks.boxes).at[:, 0].set(0.9).at[:, :, 2].set(0.9)
    assert np.abs(track_box.loss({"tracks": wrong}, videos)).max() < 1e-6


def test_the_score_loss_is_the_entropy_of_visibility() -> None:
    videos = batch()
    assert videos.tracks is not None
    seen = np.asarray(videos.tracks.visible) >= 0.25
    assert 0 < (~seen[:2, 1:, :2]).sum() < seen[:2, 1:, :2].size
    right = track_score.loss({"track_logits": jnp.where(seen, 1.0, -1.0) * np.log(9)}, videos)
    np.testing.assert_allclose(right[:2], -np.log(0.9), rtol=1e-5)
    assert right[2] == 0


def test_the_gradient_of_the_score_loss_does_not_vanish_at_a_wrong_certainty() -> None:
    videos = batch()
    assert videos.tracks is not None
    seen = np.asarray(videos.tracks.visible) >= 0.25
    gradient = jax.grad(lambda logits: track_score.loss({"track_logits": logits}, videos).sum())(jnp.where(seen, -30.0, 30.0))
    np.testing.assert_allclose(np.abs(gradient[:2, 1:, :2]), 1 / (9 * 2), rtol=1e-5)  # 9 frames, 2 objects


def test_images_are_refused() -> None:
    images = batch()._replace(tracks=None, frames_bxtxhxwxc=None)
    assert_refused(lambda: track_box.loss({"tracks": jnp.zeros((3, 10, 3, 4))}, images), "losses of tracks need videos")
