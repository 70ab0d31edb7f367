"""Canvases: a function of their index, checked against NumPy; digits keep a distance from each other."""

from __future__ import annotations

import jax
import numpy as np

from imgloc.data import canvases
from imgloc.data.canvases import MIN_DISTANCE, Layout, make_canvases, put_on_host

DIGITS = np.random.default_rng(0).integers(0, 256, (40, 28, 28)).astype(np.uint8)


def make(indices: list[int], layout: Layout, seed: int = 0) -> canvases.Canvases:
    return make_canvases(seed, "test", np.array(indices), np.arange(len(indices)) % 40, put_on_host(DIGITS), layout)


def test_digits_are_at_their_corners_and_sums_are_clipped_to_white() -> None:
    batch = make(list(range(12)), Layout(60, 0, 8, 3))
    overlaps = 0
    for image, digits, corners in zip(*batch, strict=True):
        expected = np.zeros((60, 60), np.int64)
        for digit, (x, y) in zip(digits, corners, strict=True):
            expected[y : y + 28, x : x + 28] += DIGITS[digit]
        overlaps += int((expected > 255).any())
        np.testing.assert_array_equal(image, np.minimum(expected, 255))
    assert overlaps > 0
    assert batch.digits_bxd[:, 0].tolist() == list(range(12))
    assert len(np.unique(batch.digits_bxd[:, 1:])) > 8


def test_fragments_are_crops_of_digits() -> None:
    """With a black digit and one fragment, the visible part of a canvas is a crop of another digit."""
    digits = np.concatenate([np.zeros((1, 28, 28), np.uint8), np.maximum(DIGITS, 1)])
    windows = np.lib.stride_tricks.sliding_window_view(digits, (8, 8), axis=(1, 2))
    batch = make_canvases(0, "test", np.arange(10), np.zeros(10, np.int64), put_on_host(digits), Layout(60, 1, 8, 1))
    seen = 0
    for image in batch.images_bxhxw:
        if not image.any():
            continue  # a fragment of the black digit
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        piece = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert piece.shape == (8, 8)
        assert (windows == piece).all(axis=(-1, -2)).any()
        seen += 1
    assert seen > 5


def test_fragments_come_from_all_digits_at_all_offsets_and_reach_all_places() -> None:
    """Pixel values are the number of the digit, or of its row or column. The digit on top is black."""
    black, row = np.zeros((1, 28, 28), np.uint8), np.broadcast_to(np.arange(1, 29, dtype=np.uint8)[:, None], (1, 28, 28))
    numbered = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None], (40, 28, 28))
    for digits in (numbered, np.concatenate([black, row]), np.concatenate([black, row.swapaxes(1, 2)])):
        batch = make_canvases(
            0, "test", np.arange(500), np.zeros(500, np.int64), put_on_host(np.ascontiguousarray(digits)), Layout(60, 1, 8, 1)
        )
        lit = [image for image in batch.images_bxhxw if image.any()]
        at = np.array([np.argwhere(image)[0] for image in lit])
        assert at.min(axis=0).tolist() == [0, 0]
        assert at.max(axis=0).tolist() == [52, 52]
        np.testing.assert_allclose(at.mean(axis=0), 26, atol=3)
        first = [int(image[y, x]) for image, (y, x) in zip(lit, at, strict=True)]
        assert sorted(set(first)) == list(range(1, 40 if digits is numbered else 22))


def test_a_canvas_is_the_same_in_any_batch_and_indices_have_more_than_32_bits() -> None:
    layout = Layout(60, 4, 8, 2)
    first = np.zeros(3, np.int64)
    images = make_canvases(0, "test", np.array([5, 5 + 2**32, 6]), first, put_on_host(DIGITS), layout).images_bxhxw
    (again,) = make_canvases(0, "test", np.array([5]), first[:1], put_on_host(DIGITS), layout).images_bxhxw
    (other,) = make_canvases(1, "test", np.array([5]), first[:1], put_on_host(DIGITS), layout).images_bxhxw
    np.testing.assert_array_equal(images[0], again)
    assert not any(np.array_equal(images[0], image) for image in (*images[1:], other))


def test_digits_keep_their_distance_if_there_is_room() -> None:
    for canvas, clear in ((100, True), (40, False)):
        corners = make(list(range(200)), Layout(canvas, 0, 8, 2)).corners_bxdx2
        apart = np.abs(corners[:, 0] - corners[:, 1]).max(axis=-1)
        assert (apart.min() >= MIN_DISTANCE) == clear
        assert np.ptp(corners, axis=(0, 1)).min() > 0.9 * (canvas - 28)


def test_canvases_are_the_same_with_x64_enabled() -> None:
    """Otherwise one fingerprint would identify different images."""
    indices, layout = np.arange(3), canvases.Layout(40, 4, 8, 2)
    digits = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    results = []
    for wide in (False, True):
        with jax.enable_x64(wide):
            results.append(canvases.make_canvases(0, "canvas test", indices, indices, canvases.put_on_host(digits), layout))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
