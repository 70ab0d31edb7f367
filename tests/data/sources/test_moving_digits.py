from __future__ import annotations

import numpy as np

from imgloc import boxes
from imgloc.data.batches.collate import collate, ordered_truth
from imgloc.data.sources.moving_digits import source
from imgloc.tracking.single_object import occlusions
from imgloc.types import InputSpec
from tests.refusals import assert_refused

PLAIN = {"noise": 0.0, "clutter": 0, "distractors": 0, "occlusions": 0, "videos": 6, "frames": 12}


def ink(frame: np.ndarray) -> np.ndarray:
    """The box in pixels of everything that is not black."""
    rows, columns = np.nonzero(frame[..., 0])
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def test_the_boxes_enclose_the_digit_in_every_frame() -> None:
    for example in (source("validation", seed=0, **PLAIN)[k] for k in range(6)):
        assert example.frames_txhxwxc is not None
        assert example.tracks is not None
        found = boxes.to_pixels(np.asarray(example.tracks.boxes[:, 0]), 64, 64)
        for frame, box in zip(example.frames_txhxwxc, found, strict=True):
            np.testing.assert_allclose(ink(frame), box, atol=2)
        assert np.asarray(example.tracks.present).all()
        np.testing.assert_array_equal(example.image_hxwxc, example.frames_txhxwxc[0])
        np.testing.assert_array_equal(example.boxes_nx4, example.tracks.boxes[0])
        steps = np.diff((found[:, :2] + found[:, 2:]) / 2, axis=0)
        assert np.abs(steps).max() <= 3.5, "it jumps"
        assert np.abs(steps).sum() > 3, "it stands still"


def test_an_occluder_hides_the_digit_for_the_requested_time_and_not_in_the_first_frame() -> None:
    split = source("train", seed=1, frames=40, distractors=0, scale_change=0.0, occlusion=(8, 12))
    lengths = []
    for index in range(12):
        tracks = split[index].tracks
        assert tracks is not None
        assert tracks.visible[0, 0] >= 0.9
        lengths += [last - first for first, last in occlusions(np.asarray(tracks.visible)[:, 0])]
    assert len(lengths) >= 6
    assert 7 <= np.median(lengths) <= 14


def test_hidden_pixels_are_counted_by_brute_force() -> None:
    example = source("train", seed=0, frames=30, noise=0.0, clutter=0, distractors=0, speed=(2.0, 2.0))[3]
    bare = source("train", seed=0, frames=30, noise=0.0, clutter=0, distractors=0, speed=(2.0, 2.0), occlusions=0)[3]
    assert example.tracks is not None
    assert bare.frames_txhxwxc is not None
    np.testing.assert_array_equal(example.tracks.boxes, bare.tracks.boxes if bare.tracks else ())
    shade = example.frames_txhxwxc[..., 0]
    occluder = (shade == np.median(shade[shade != bare.frames_txhxwxc[..., 0]])).all(axis=0)  # pixels that are shaded in every frame
    for box, visible in zip(boxes.to_pixels(np.asarray(example.tracks.boxes[:, 0]), 64, 64), example.tracks.visible[:, 0], strict=True):
        x0, y0, x1, y1 = np.round(box).astype(int)
        assert np.float32(1 - occluder[y0:y1, x0:x1].mean()) == np.float32(visible)


def test_digits_leave_the_canvas_and_return_only_with_exits() -> None:
    present = {}
    for exits in (0.0, 1.0):
        split = source("train", seed=0, frames=60, exits=exits, speed=(3.0, 4.0), occlusions=0)
        present[exits] = np.stack([split[index].tracks.present[:, 0] for index in range(10)])  # type: ignore[union-attr]
    assert present[0.0].all()
    returns = [np.flatnonzero(np.diff(row.astype(int)) == 1) for row in present[1.0]]
    assert sum(map(len, returns)) >= 3


def test_a_batch_holds_frames_and_tracks_in_the_order_of_its_objects() -> None:
    split = source("validation", seed=0, objects=3, distractors=0, videos=4, frames=5)
    batch = collate([split[0], split[1]], 3, InputSpec((32, 32, 1), 2))
    assert batch.frames_bxtxhxwxc is not None
    assert batch.tracks is not None
    assert batch.frames_bxtxhxwxc.shape == (3, 5, 32, 32, 1)
    np.testing.assert_array_equal(batch.frames_bxtxhxwxc[:, 0], batch.images_bxhxwxc)
    np.testing.assert_array_equal(batch.tracks.boxes[:, 0], batch.boxes_bxnx4)
    assert not np.asarray(batch.tracks.present)[2].any()
    truth = ordered_truth(split[0])
    assert truth.tracks is not None
    np.testing.assert_array_equal(truth.tracks.boxes[0], truth.boxes_nx4)
    np.testing.assert_array_equal(batch.tracks.boxes[0], truth.tracks.boxes[:, :2])


def test_videos_of_other_lengths_are_padded_with_absent_objects() -> None:
    short, long = (source("validation", seed=0, videos=2, frames=frames)[0] for frames in (5, 40))
    batch = collate([short, long], 2, InputSpec((64, 64, 1), 1))
    assert batch.tracks is not None
    assert np.asarray(batch.tracks.present).shape == (2, 64, 1)
    assert np.asarray(batch.tracks.present)[:, :, 0].sum(axis=1).tolist() == [5, 40]


def test_options_out_of_range_and_letterboxed_videos_are_refused() -> None:
    assert_refused(lambda: source("train", seed=0, frames=1), "data.options.frames must be from 2")
    assert_refused(lambda: source("train", seed=0, occlusion=(9, 3)), "data.options.occlusion must be (low, high)")
    example = source("validation", seed=0, videos=1, frames=3)[0]
    assert_refused(lambda: collate([example], 1, InputSpec((64, 64, 1), 1, "letterbox")), "data.resize is 'letterbox'")
