"""Windows inside and beyond the image: boxes follow pixels, also those of clipped objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from imgloc.data.transforms import window as windows
from imgloc.types import Example
from tests.data.transforms.rectangles import assert_boxes_follow, assert_valid, bright_box, draw_example, examples, sizes

edge = st.floats(-0.6, 1.6)


@settings(max_examples=150)
@given(examples(), edge, edge, st.floats(0.2, 2.0), st.floats(0.2, 2.0), sizes, st.floats(0.0, 1.0))
def test_boxes_follow_pixels_in_any_window(
    example: Example, x: float, y: float, w: float, h: float, size: tuple[int, int], visible: float
) -> None:
    black = (0,) * example.image_hxwxc.shape[2]
    cropped = windows.apply_window(example, (x, y, x + w, y + h), size, color=black, visible=visible)
    assert cropped.image_hxwxc.shape == (*size, example.image_hxwxc.shape[2])
    assert_valid(cropped, example)
    # If a side shrinks to half or less, the edges of the window are rounded to whole input pixels.
    scales = size[0] / (h * example.image_hxwxc.shape[0]), size[1] / (w * example.image_hxwxc.shape[1])
    assert_boxes_follow(cropped, tolerance=1.01 + (0.5 * max(scales) if min(scales) <= 0.5 else 0.0))


def test_boxes_of_clipped_objects_follow_pixels() -> None:
    """Every edge of the window clips one object, and one box reaches over all four edges."""
    for pixel_box in [(0, 20, 30, 40), (30, 20, 64, 40), (20, 0, 40, 30), (20, 30, 40, 64), (0, 0, 64, 64)]:
        example = draw_example((64, 64), [pixel_box])
        cropped = windows.apply_window(example, (16 / 64, 16 / 64, 48 / 64, 48 / 64), (96, 80), color=(0, 0, 0), visible=0.1)
        assert assert_boxes_follow(cropped) == 1
        cut = [min(max(edge - 16, 0), 32) / 32 for edge in pixel_box]
        np.testing.assert_allclose(cropped.boxes_nx4[0], cut, atol=1e-6)


@pytest.mark.parametrize(("visible", "kept"), [(0.0, [0, 1]), (0.25, [0, 1]), (0.26, [1]), (1.0, [1])])
def test_a_box_is_kept_if_enough_of_its_area_is_inside(visible: float, kept: list[int]) -> None:
    """A quarter of object 0 is inside, all of object 1, which shares an edge with the window, and nothing of object 2."""
    example = draw_example((40, 40), [(5, 5, 15, 15), (10, 20, 20, 30), (30, 30, 40, 40)])
    cropped = windows.apply_window(example, (0.25, 0.25, 0.75, 0.75), (20, 20), color=(0, 0, 0), visible=visible)
    assert cropped.labels_n.tolist() == kept
    assert assert_boxes_follow(cropped) == len(kept)


def test_pixels_are_interpolated_bilinearly() -> None:
    """Against SciPy, without reduction. The color fills the window outside the image."""
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    window = (0.1, 0.2, 0.7, 0.65)
    got = windows.window_pixels(image, window, (37, 41), color=(1, 2, 3)).astype(float)
    y = (window[1] + (np.arange(37) + 0.5) / 37 * (window[3] - window[1])) * 20 - 0.5
    x = (window[0] + (np.arange(41) + 0.5) / 41 * (window[2] - window[0])) * 30 - 0.5
    inner = np.ix_((y > 4) & (y < 12), (x > 3) & (x < 20))  # without the borders
    for channel in range(3):
        expected = scipy.ndimage.map_coordinates(image[..., channel].astype(float), np.meshgrid(y, x, indexing="ij"), order=1)
        assert np.abs(got[..., channel] - expected)[inner].max() <= 1.5  # coefficients and results of 8 bits
    beyond = windows.window_pixels(image, (-0.5, -0.5, 1.5, 1.5), (40, 60), color=(1, 2, 3))
    outside = np.ones((40, 60), bool)
    outside[10:30, 15:45] = False
    assert (beyond[outside] == (1, 2, 3)).all()
    assert np.array_equal(beyond[10:30, 15:45], image)
    assert (windows.window_pixels(image, (2.0, 0.0, 3.0, 1.0), (4, 5), color=(1, 2, 3)) == (1, 2, 3)).all()


def test_the_whole_image_at_its_own_size_is_the_same_example() -> None:
    example = draw_example((10, 12), [(2, 2, 6, 6)])
    assert windows.apply_window(example, windows.WHOLE_IMAGE, (10, 12), color=(0, 0, 0), visible=1.0) is example
    resized = windows.apply_window(example, windows.WHOLE_IMAGE, (20, 24), color=(0, 0, 0), visible=1.0)
    assert resized.boxes_nx4 is example.boxes_nx4
    assert bright_box(resized.image_hxwxc[..., 0]).tolist() == [4, 4, 12, 12]


@given(examples(), st.integers(0, 3))
def test_an_object_of_the_images_own_class_must_stay(example: Example, kept: int) -> None:
    kept_n = example.labels_n == kept
    assume(len(kept_n))
    own = example.label in example.labels_n
    assert windows.keeps_object(example, kept_n) == (kept in example.labels_n and (kept == example.label or not own))


def test_draws_that_lose_the_object_are_repeated_and_at_last_rejected() -> None:
    example = draw_example((40, 40), [(0, 0, 10, 10), (30, 30, 40, 40)], label=1)
    upper, lower = (0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)

    def labels(draw: Callable[[], windows.Window | None], keep: bool) -> list[int]:
        result = windows.apply_random_window(example, draw, (20, 20), color=(0, 0, 0), visible=0.5, keep=keep)
        assert assert_boxes_follow(result) == len(result.labels_n)
        return result.labels_n.tolist()

    draws = iter([upper, None, upper, lower, upper])
    assert labels(lambda: next(draws), keep=True) == [1]
    assert next(draws) == upper, "drew again after a valid window"
    assert labels(lambda: upper, keep=True) == [0, 1]
    assert labels(lambda: upper, keep=False) == [0]
    assert labels(lambda: None, keep=False) == [0, 1]
    assert labels(lambda: windows.WHOLE_IMAGE, keep=False) == [0, 1]
    nothing = dataclasses.replace(draw_example((40, 40), []), image_hxwxc=example.image_hxwxc)
    cropped = windows.apply_random_window(nothing, lambda: upper, (20, 20), color=(0, 0, 0), visible=0.5, keep=True)
    assert np.array_equal(cropped.image_hxwxc, example.image_hxwxc[:20, :20])


def test_random_numbers_span_their_ranges() -> None:
    rng = np.random.default_rng(0)
    logs = np.log2([windows.log_uniform(rng, 0.25, 4.0) for _ in range(4000)])
    assert np.abs(logs).max() <= 2
    assert abs(np.mean(logs)) < 0.1
    assert np.std(logs) == pytest.approx(4 / 12**0.5, rel=0.05)
    state = rng.bit_generator.state
    assert windows.uniform(rng, 3.0, 3.0) == 3.0
    assert rng.bit_generator.state == state
