"""Canvases: bits of their own for every index, host arithmetic beside NumPy's, digits that keep clear of each other."""

from __future__ import annotations

import jax
import numpy as np

from imgloc.data import canvases
from imgloc.data.canvases import CLEAR, Layout, make, on_host

DIGITS = np.random.default_rng(0).integers(0, 256, (40, 28, 28)).astype(np.uint8)


def of(indices: list[int], layout: Layout, seed: int = 0) -> canvases.Made:
    return make(seed, "test", np.array(indices), np.arange(len(indices)) % 40, on_host(DIGITS), layout)


def test_digits_lie_where_their_corners_say_and_what_is_added_is_cut_off_at_white() -> None:
    made = of(list(range(12)), Layout(60, 0, 8, 3))
    overlaps = 0
    for image, digits, corners in zip(*made, strict=True):
        wanted = np.zeros((60, 60), np.int64)
        for digit, (x, y) in zip(digits, corners, strict=True):
            wanted[y : y + 28, x : x + 28] += DIGITS[digit]
        overlaps += int((wanted > 255).any())
        np.testing.assert_array_equal(image, np.minimum(wanted, 255))
    assert overlaps > 0
    assert made.digits_bxd[:, 0].tolist() == list(range(12))
    assert len(np.unique(made.digits_bxd[:, 1:])) > 8


def test_pieces_are_crops_of_digits() -> None:
    """Of a single piece on a canvas whose own digit is black, what is seen is a crop of one of the others."""
    digits = np.concatenate([np.zeros((1, 28, 28), np.uint8), np.maximum(DIGITS, 1)])
    windows = np.lib.stride_tricks.sliding_window_view(digits, (8, 8), axis=(1, 2))
    made = make(0, "test", np.arange(10), np.zeros(10, np.int64), on_host(digits), Layout(60, 1, 8, 1))
    seen = 0
    for image in made.images_bxhxw:
        if not image.any():
            continue  # of the black digit
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        piece = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert piece.shape == (8, 8)
        assert (windows == piece).all(axis=(-1, -2)).any()
        seen += 1
    assert seen > 5


def test_pieces_are_of_all_digits_at_all_offsets_and_lie_anywhere() -> None:
    """Pixels say of which digit, or of which row or column of it, a piece is; the digit that lies on top is black."""
    black, row = np.zeros((1, 28, 28), np.uint8), np.broadcast_to(np.arange(1, 29, dtype=np.uint8)[:, None], (1, 28, 28))
    numbered = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None], (40, 28, 28))
    for digits in (numbered, np.concatenate([black, row]), np.concatenate([black, row.swapaxes(1, 2)])):
        made = make(0, "test", np.arange(500), np.zeros(500, np.int64), on_host(np.ascontiguousarray(digits)), Layout(60, 1, 8, 1))
        lit = [image for image in made.images_bxhxw if image.any()]
        at = np.array([np.argwhere(image)[0] for image in lit])
        assert at.min(axis=0).tolist() == [0, 0]
        assert at.max(axis=0).tolist() == [52, 52]
        np.testing.assert_allclose(at.mean(axis=0), 26, atol=3)
        first = [int(image[y, x]) for image, (y, x) in zip(lit, at, strict=True)]
        assert sorted(set(first)) == list(range(1, 40 if digits is numbered else 22))


def test_an_index_is_the_same_in_any_batch_and_beyond_32_bits_another() -> None:
    layout = Layout(60, 4, 8, 2)
    first = np.zeros(3, np.int64)
    images = make(0, "test", np.array([5, 5 + 2**32, 6]), first, on_host(DIGITS), layout).images_bxhxw
    (again,) = make(0, "test", np.array([5]), first[:1], on_host(DIGITS), layout).images_bxhxw
    (other,) = make(1, "test", np.array([5]), first[:1], on_host(DIGITS), layout).images_bxhxw
    np.testing.assert_array_equal(images[0], again)
    assert not any(np.array_equal(images[0], image) for image in (*images[1:], other))


def test_digits_keep_clear_of_each_other_where_there_is_room() -> None:
    for canvas, clear in ((100, True), (40, False)):
        corners = of(list(range(200)), Layout(canvas, 0, 8, 2)).corners_bxdx2
        apart = np.abs(corners[:, 0] - corners[:, 1]).max(axis=-1)
        assert (apart.min() >= CLEAR) == clear
        assert np.ptp(corners, axis=(0, 1)).min() > 0.9 * (canvas - 28)


def test_canvases_are_the_same_where_jax_counts_in_64_bits() -> None:
    """Else the same fingerprint would stand for other pictures."""
    indices, layout = np.arange(3), canvases.Layout(40, 4, 8, 2)
    digits = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    found = []
    for wide in (False, True):
        with jax.enable_x64(wide):
            found.append(canvases.make(0, "canvas test", indices, indices, canvases.on_host(digits), layout))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
