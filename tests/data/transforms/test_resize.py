"""Stretching and letterboxing: boxes follow pixels, and letterboxing can be inverted."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc import boxes
from imgloc.data.transforms import resize
from imgloc.types import Example
from tests.data.transforms.rectangles import assert_boxes_follow, assert_valid, draw_example, examples, sizes
from tests.refusals import assert_refused


@settings(max_examples=60)
@given(examples(), sizes)
def test_boxes_follow_pixels(example: Example, size: tuple[int, int]) -> None:
    stretched = resize.resize(example, size=size)
    boxed, content = resize.letterbox(example, size=size)
    for result in (stretched, boxed):
        assert result.image_hxwxc.shape[:2] == size
        assert_valid(result, example)
        assert_boxes_follow(result)
    assert np.array_equal(stretched.boxes_nx4, example.boxes_nx4)
    np.testing.assert_allclose(boxes.from_letterbox(boxed.boxes_nx4, content), example.boxes_nx4, atol=1e-5)


@settings(max_examples=60)
@given(st.integers(1, 90), st.integers(1, 90), sizes)
def test_a_letterboxed_image_fills_one_side_keeps_its_aspect_ratio_and_is_centered(height: int, width: int, size: tuple[int, int]) -> None:
    white = dataclasses.replace(draw_example((height, width), []), image_hxwxc=np.full((height, width, 3), 255, np.uint8))
    boxed, content = resize.letterbox(white, size=size, color=(9, 8, 7))
    x0, y0, x1, y1 = np.rint(boxes.to_pixels(content, size[1], size[0])).astype(int)
    shown = np.zeros(size, bool)
    shown[y0:y1, x0:x1] = True
    assert (boxed.image_hxwxc[shown] == 255).all()
    assert (boxed.image_hxwxc[~shown] == (9, 8, 7)).all()
    assert y1 - y0 == size[0] or x1 - x0 == size[1]
    scale = min(size[0] / height, size[1] / width)
    assert abs((y1 - y0) - max(1, height * scale)) <= 0.5 + 1e-9
    assert abs((x1 - x0) - max(1, width * scale)) <= 0.5 + 1e-9
    assert 0 <= size[1] - x1 - x0 <= 1
    assert 0 <= size[0] - y1 - y0 <= 1


def test_the_inverse_takes_many_boxes_and_clips_those_on_the_padding() -> None:
    _, content = resize.letterbox(draw_example((20, 40), []), size=(40, 40))
    assert content.dtype == np.float32
    np.testing.assert_allclose(content, [0, 0.25, 1, 0.75])
    predicted = np.array([[[0, 0.25, 1, 0.75], [0.5, 0.5, 0.75, 0.75]], [[0, 0, 1, 1], [0.2, 0.1, 0.4, 0.2]]], np.float32)
    back = boxes.from_letterbox(predicted, content)
    np.testing.assert_allclose(back, [[[0, 0, 1, 1], [0.5, 0.5, 0.75, 1]], [[0, 0, 1, 1], [0.2, 0, 0.4, 0]]], atol=1e-6)


def test_an_example_of_the_same_size_is_returned() -> None:
    example = draw_example((10, 12), [(2, 2, 6, 6)])
    assert resize.resize(example, size=(10, 12)) is example


def test_invalid_options_raise() -> None:
    example = draw_example((10, 12), [])
    assert_refused(lambda: resize.resize(example, size=(0, 5)), "'size' must be", "got (0, 5)")
    assert_refused(lambda: resize.letterbox(example, size=(5, 5.5)), "'size' must be", "got (5, 5.5)")
    assert_refused(lambda: resize.letterbox(example, size=(5, 5), color=(1, 2)), "'color' must be", "got (1, 2)")


@settings(max_examples=60)
@given(examples(), sizes)
def test_boxes_in_a_crop_follow_pixels_and_are_mapped_back(example: Example, size: tuple[int, int]) -> None:
    cropped, content = resize.crop(example, size=size)
    assert cropped.image_hxwxc.shape[:2] == size
    # One side is the whole of the image's, and of the other as much is cut off on both ends.
    low, high = content[:2], content[2:]
    assert (low <= 1e-6).all()
    np.testing.assert_allclose(low + high, 1, atol=1e-5)
    assert np.abs(low).min() < 1e-6
    inside = ((cropped.boxes_nx4 > 0) & (cropped.boxes_nx4 < 1)).all(axis=1)
    back = boxes.from_letterbox(cropped.boxes_nx4, content)
    np.testing.assert_allclose(back[inside], example.boxes_nx4[inside], atol=1e-4)


def test_a_crop_is_the_center_without_distortion() -> None:
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 30:70] = 255
    cropped, content = resize.crop(dataclasses.replace(draw_example((40, 100), []), image_hxwxc=pixels), size=(20, 20))
    assert (cropped.image_hxwxc == 255).all()
    np.testing.assert_allclose(content, [-0.75, 0, 1.75, 1], atol=1e-6)
    _, content = resize.crop(draw_example((40, 100), []), size=(20, 50))
    np.testing.assert_allclose(content, [0, 0, 1, 1], atol=1e-6)
