"""Pasted objects: their boxes enclose exactly the pixels that they change, and do not overlap more than allowed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc.data.pasting import SUPPORT, CutOut, Pasting, feathered, make_layer, paste_objects

HOW = Pasting((1, 1), (0.1, 0.6), 0.0, 0.5, 2.0)


@st.composite
def cut_outs(draw: st.DrawFn) -> CutOut:
    """A white object, or rectangle, with any opacity."""
    height, width = draw(st.integers(4, 40)), draw(st.integers(4, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    alpha = None
    if draw(st.booleans()):
        alpha = np.where(rng.random((height, width)) < draw(st.sampled_from([0.1, 0.5, 1.0])), rng.integers(0, 256, (height, width)), 0)
        alpha[rng.integers(height), rng.integers(width)] = 255
        alpha = alpha.astype(np.uint8)
    return CutOut(np.full((height, width, 3), 255, np.uint8), alpha, 3)


def box_of(mask_hxw: np.ndarray) -> list[int]:
    rows, columns = np.flatnonzero(mask_hxw.any(axis=1)), np.flatnonzero(mask_hxw.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@settings(max_examples=200)
@given(cut=cut_outs(), seed=st.integers(0, 2**32), size=st.tuples(st.integers(8, 90), st.integers(8, 90)))
def test_the_box_is_that_of_the_pixels_that_an_object_changes(cut: CutOut, seed: int, size: tuple[int, int]) -> None:
    black = np.zeros((*size, 3), np.uint8)
    pasted = paste_objects(black, lambda _: cut, HOW, np.random.default_rng(seed))
    assert not black.any(), "the image itself does not change"
    changed = pasted.image_hxwx3.any(axis=2)
    if not len(pasted.labels_n):  # an object of a few pixels may vanish when it is reduced
        assert cut.alpha_hxw is not None
        assert not changed.any()
        return
    assert pasted.labels_n.tolist() == [3]
    assert pasted.boxes_nx4.tolist() == [box_of(changed)]
    np.testing.assert_array_equal(pasted.covered_hxw, changed)
    assert pasted.image_hxwx3[changed].min() >= SUPPORT - 1


@given(cut=cut_outs(), seed=st.integers(0, 2**32))
def test_a_pixel_is_the_mean_of_object_and_background_by_opacity(cut: CutOut, seed: int) -> None:
    images = (np.full((60, 50, 3), level, np.uint8) for level in (0, 100))
    black, gray = (paste_objects(image, lambda _: cut, HOW, np.random.default_rng(seed)) for image in images)
    np.testing.assert_array_equal(black.boxes_nx4, gray.boxes_nx4)
    opacity = black.image_hxwx3 / 255
    np.testing.assert_allclose(gray.image_hxwx3, 255 * opacity + 100 * (1 - opacity), atol=1)


@pytest.mark.parametrize("limit", [0.0, 0.2, 1.0])
def test_no_two_boxes_overlap_more_than_the_limit_and_only_the_limit_leaves_objects_out(limit: float) -> None:
    cut = CutOut(np.full((20, 20, 3), 255, np.uint8), None, 0)
    how = Pasting((30, 30), (0.1, 0.3), limit, 0.5, 1.0)
    pasted = paste_objects(np.zeros((100, 100, 3), np.uint8), lambda _: cut, how, np.random.default_rng(0))
    shares = []
    for i, a in enumerate(pasted.boxes_nx4):
        for b in pasted.boxes_nx4[:i]:
            sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
            shares.append(np.prod(sides) / min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2])))
    assert max(shares) <= limit
    assert len(pasted.labels_n) == 30 if limit == 1 else 5 <= len(pasted.labels_n) < 30


def test_numbers_and_sizes_span_their_ranges_and_a_small_object_is_not_blown_up() -> None:
    def pasted(side: int, how: Pasting, seed: int) -> np.ndarray:
        cut = CutOut(np.zeros((side, 2 * side, 3), np.uint8), None, 0, relative_size=0.1)
        boxes = paste_objects(np.zeros((200, 200, 3), np.uint8), lambda _: cut, how, np.random.default_rng(seed)).boxes_nx4
        return boxes[:, 2:] - boxes[:, :2]

    many = [pasted(100, Pasting((0, 3), (0.1, 0.4), 1.0, 0.0, 0.0), seed) for seed in range(300)]
    assert {len(sides) for sides in many} == {0, 1, 2, 3}
    sides = np.concatenate(many)
    size = np.sqrt(sides.prod(axis=1)) / 200
    assert 0.1 - 0.01 <= size.min() < 0.11
    assert 0.38 < size.max() <= 0.4 + 0.01
    assert abs(np.median(size) - 0.2) < 0.02, "the median of a log-uniform range is its geometric mean"
    np.testing.assert_allclose(sides[:, 0] / sides[:, 1], 2, rtol=0.06)
    assert pasted(4, Pasting((1, 1), (0.5, 0.5), 0.0, 0.0, 0.0), 0).tolist() == [[16, 8]]
    own = pasted(100, Pasting((1, 1), (1.0, 1.0), 0.0, 0.0, 0.0, own_size=True), 0)
    np.testing.assert_allclose(np.sqrt(own.prod(axis=1)), 20, atol=0.5)


def test_a_flip_mirrors_the_object_and_feathering_softens_the_edges_alone() -> None:
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[:, :5] = 200
    plain, flipped = (make_layer(CutOut(pixels, None, 0), (50, 50), 10.0, flip=flip, feather=0.0) for flip in (False, True))
    assert plain is not None
    assert flipped is not None
    np.testing.assert_array_equal(plain.premultiplied_hxwx3[:, ::-1], flipped.premultiplied_hxwx3)
    assert plain.opacity_hxw.min() == 1
    soft = feathered(41, 61, 2.0)
    assert SUPPORT / 255 <= soft[0, 0] < soft[0, 30] < 0.3
    assert soft[20, 30] == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_array_equal(soft, soft[::-1, ::-1])
