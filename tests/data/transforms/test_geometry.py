"""Geometric transforms: boxes follow pixels, and objects are kept on request."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc import boxes
from imgloc.data.transforms import geometry
from imgloc.data.transforms.window import keeps_object
from imgloc.types import Example
from tests.data.transforms.rectangles import assert_boxes_follow, assert_valid, bright_box, draw_example, examples, generators, sizes
from tests.refusals import assert_refused

shares = st.tuples(st.floats(0.02, 1), st.floats(0.02, 1)).map(lambda pair: (min(pair), max(pair)))
ratios = st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)).map(lambda pair: (min(pair), max(pair)))
maybe_sizes = st.none() | sizes


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


@given(examples())
def test_boxes_follow_pixels_when_flipped(example: Example) -> None:
    flipped = geometry.horizontal_flip(example)
    assert np.array_equal(flipped.image_hxwxc, example.image_hxwxc[:, ::-1])
    assert_valid(flipped, example)
    assert_boxes_follow(flipped, tolerance=1e-3)
    again = geometry.horizontal_flip(flipped)
    assert np.array_equal(again.image_hxwxc, example.image_hxwxc)
    np.testing.assert_allclose(again.boxes_nx4, example.boxes_nx4, atol=1e-6)


def test_the_share_of_flips_is_the_probability() -> None:
    example, rng = draw_example((8, 8), [(0, 0, 4, 4)]), np.random.default_rng(0)
    flips = [geometry.random_horizontal_flip(example, rng, probability=0.3) is not example for _ in range(1000)]
    assert 0.25 < np.mean(flips) < 0.35
    assert geometry.random_horizontal_flip(example, rng, probability=0.0) is example
    assert geometry.random_horizontal_flip(example, rng, probability=1.0) is not example
    strided = dataclasses.replace(example, image_hxwxc=noise(9, 16)[:, ::2])  # not contiguous
    assert np.array_equal(geometry.horizontal_flip(strided).image_hxwxc, noise(9, 16)[:, ::2][:, ::-1])


def assert_object_stays(result: Example, example: Example) -> None:
    """If the example has an object of its own class, so has the result; if the example has any object, so has the result."""
    if len(example.boxes_nx4):
        assert keeps_object(example, np.isin(example.labels_n, result.labels_n))
        assert len(result.boxes_nx4)


@pytest.mark.parametrize(("box", "size", "zoom", "seed"), [((0, 0, 4, 15), (5, 21), 4.0, 2**27 - 1), ((0, 0, 4, 8), (5, 7), 5.0, 252)])
def test_a_crop_that_shrinks_along_one_side_alone_is_exact_along_the_other(
    box: tuple[int, int, int, int], size: tuple[int, int], zoom: float, seed: int
) -> None:
    example = draw_example((25, 8), [box], channels=1)
    rng = np.random.default_rng(seed)
    result = geometry.random_scale_and_translate(example, rng, scale=(1.0, zoom), translate=1.0, size=size, visible=0.0, keep=False)
    assert assert_boxes_follow(result) == 1


@settings(max_examples=100)
@given(examples(), generators, ratios, st.floats(0, 1), maybe_sizes, st.floats(0, 1), st.booleans())
def test_boxes_follow_pixels_when_scaled_and_translated(
    example: Example, rng: np.random.Generator, scale: tuple[float, float], translate: float, size: tuple[int, int] | None,
    visible: float, keep: bool,
) -> None:  # fmt: skip
    result = geometry.random_scale_and_translate(example, rng, scale=scale, translate=translate, size=size, visible=visible, keep=keep)
    assert result.image_hxwxc.shape[:2] == (size or example.image_hxwxc.shape[:2])
    assert_valid(result, example)
    assert_boxes_follow(result)
    if keep:
        assert_object_stays(result, example)


@settings(max_examples=100)
@given(examples(), generators, shares, ratios, maybe_sizes, st.floats(0, 1), st.booleans())
def test_boxes_follow_pixels_when_cropped(
    example: Example, rng: np.random.Generator, area: tuple[float, float], aspect: tuple[float, float], size: tuple[int, int] | None,
    visible: float, keep: bool,
) -> None:  # fmt: skip
    result = geometry.random_resized_crop(example, rng, area=area, aspect=aspect, size=size, visible=visible, keep=keep)
    assert result.image_hxwxc.shape[:2] == (size or example.image_hxwxc.shape[:2])
    assert_valid(result, example)
    assert_boxes_follow(result)
    if keep:
        assert_object_stays(result, example)


def crop_of(result: Example, side: int) -> tuple[float, float]:
    """The width and height in pixels of the crop, from the resulting box of a square of `side` pixels."""
    x0, y0, x1, y1 = result.boxes_nx4[0].astype(np.float64)
    return side / (x1 - x0), side / (y1 - y0)


def test_crops_span_the_ranges_of_area_and_aspect_and_all_places() -> None:
    example, rng = draw_example((100, 200), [(98, 48, 102, 52)]), np.random.default_rng(0)
    results = [geometry.random_resized_crop(example, rng, area=(0.2, 0.5), aspect=(0.8, 1.25), visible=1.0) for _ in range(400)]
    crops = np.array([crop_of(result, 4) for result in results])
    area, aspect = crops.prod(axis=1) / 20_000, crops[:, 0] / crops[:, 1]
    assert area.min() > 0.19
    assert area.max() < 0.51
    assert area.max() - area.min() > 0.25
    assert 0.78 < aspect.min() < 0.85
    assert 1.2 < aspect.max() < 1.28
    places = np.array([boxes.to_pixels(result.boxes_nx4[0], 1, 1)[:2] for result in results])
    assert places.min() < 0.1
    assert places.max() > 0.85


def test_an_object_is_lost_only_without_keep() -> None:
    example = draw_example((60, 60), [(0, 0, 5, 5)])

    def lost(keep: bool) -> list[bool]:
        rng = np.random.default_rng(0)
        return [not len(geometry.random_resized_crop(example, rng, area=(0.05, 0.1), keep=keep).boxes_nx4) for _ in range(50)]

    assert sum(lost(False)) > 25
    assert not any(lost(True))


def test_zooms_and_shifts_span_their_ranges_and_color_pads() -> None:
    example, rng = draw_example((100, 100), [(45, 45, 55, 55)]), np.random.default_rng(0)
    results = [geometry.random_scale_and_translate(example, rng, scale=(0.5, 2.0), translate=0.2, color=(0, 7, 9)) for _ in range(300)]
    zooms = np.array([(result.boxes_nx4[0, 2] - result.boxes_nx4[0, 0]) / 0.1 for result in results])
    assert 0.5 - 1e-4 <= zooms.min() < 0.53
    assert 1.9 < zooms.max() <= 2 + 1e-4
    shifts = np.array([(result.boxes_nx4[0, :2] + result.boxes_nx4[0, 2:]) / 2 - 0.5 for result in results])
    assert 0.19 < np.abs(shifts).max(axis=0).min() <= np.abs(shifts).max() <= 0.2 + 1e-5
    smallest = results[int(zooms.argmin())].image_hxwxc
    assert ((smallest == (0, 7, 9)).all(axis=-1)).mean() > 0.6


def test_neutral_options_return_the_same_example() -> None:
    example, rng = draw_example((20, 30), [(3, 3, 9, 9)]), np.random.default_rng(0)
    assert geometry.random_scale_and_translate(example, rng, scale=(1.0, 1.0), translate=0.0) is example
    assert geometry.random_resized_crop(example, rng, area=(1.0, 1.0)) is example
    assert geometry.random_rotation(example, rng, degrees=0.0) is example


@settings(max_examples=60)
@given(examples(least=24), generators, st.floats(0.1, 180), st.sampled_from(["ellipse", "corners"]), st.booleans())
def test_boxes_of_rotated_images_are_valid(example: Example, rng: np.random.Generator, degrees: float, hull: str, keep: bool) -> None:
    result = geometry.random_rotation(example, rng, degrees=degrees, hull=hull, keep=keep)
    assert result.image_hxwxc.shape == example.image_hxwxc.shape
    assert_valid(result, example)
    if keep:
        assert_object_stays(result, example)


def draw_rectangle(size: tuple[int, int], pixel_box: tuple[int, int, int, int]) -> Example:
    return draw_example(size, [pixel_box])


def draw_ellipse(size: tuple[int, int], pixel_box: tuple[int, int, int, int]) -> Example:
    """The example of `draw_rectangle` with the inscribed ellipse instead of the rectangle."""
    example = draw_example(size, [pixel_box])
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    x0, y0, x1, y1 = pixel_box
    inside = ((x - (x0 + x1) / 2) / (x1 - x0) * 2) ** 2 + ((y - (y0 + y1) / 2) / (y1 - y0) * 2) ** 2 <= 1
    return dataclasses.replace(example, image_hxwxc=np.where(inside[..., None], example.image_hxwxc, 0).astype(np.uint8))


# The corner of a rotated rectangle is a point: up to two pixels of it stay below the threshold.
@pytest.mark.parametrize(("hull", "make", "tolerance"), [("ellipse", draw_ellipse, 1.5), ("corners", draw_rectangle, 2.0)])
def test_boxes_follow_rotated_pixels(hull: str, make, tolerance: float) -> None:
    """Each hull is the exact box of one shape. Objects off the center show the direction of the rotation."""
    rng = np.random.default_rng(0)
    other = "corners" if hull == "ellipse" else "ellipse"
    worst = 0.0
    for pixel_box in [(60, 30, 100, 60), (20, 60, 60, 70), (50, 80, 70, 120)]:
        example = make((150, 180), pixel_box)
        for _ in range(10):
            state = rng.bit_generator.state
            result = geometry.random_rotation(example, rng, degrees=40.0, hull=hull)
            assert assert_boxes_follow(result, tolerance=tolerance) == 1
            rng.bit_generator.state = state
            wrong = geometry.random_rotation(example, rng, degrees=40.0, hull=other).boxes_nx4[0] * [180, 150, 180, 150]
            worst = max(worst, np.abs(wrong - bright_box(result.image_hxwxc[..., 0])).max())
    assert worst > 4, "the two hulls should differ"


@pytest.mark.parametrize("shape", [(40, 61), (61, 40)])
def test_rotated_pixels_equal_those_of_scipy(shape: tuple[int, int]) -> None:
    image = scipy.ndimage.gaussian_filter(noise(*shape).astype(float), (1, 1, 0)).astype(np.uint8)
    angle = 0.3
    got = geometry._rotated_image(image, angle, (0, 0, 0)).astype(float)
    back = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])  # of (y, x), from output to input
    middle = np.array(shape) / 2 - 0.5
    for channel in range(3):
        expected = scipy.ndimage.affine_transform(image[..., channel].astype(float), back, middle - back @ middle, order=1, cval=-1)
        inside = expected > 0
        assert inside.mean() > 0.6
        assert np.abs(got[..., channel] - expected)[inside & (got[..., channel] > 0)].max() <= 1.01
        assert (inside == (got[..., channel] > 0)).mean() > 0.95


def test_invalid_options_raise() -> None:
    example, rng = draw_example((20, 20), [(3, 3, 9, 9)]), np.random.default_rng(0)
    for function, options, *parts in [
        (geometry.random_horizontal_flip, {"probability": 1.5}, "'flip' must be", "got 1.5"),
        (geometry.random_scale_and_translate, {"scale": (2.0, 1.0)}, "'scale' must be", "got (2.0, 1.0)"),
        (geometry.random_scale_and_translate, {"translate": -1}, "'translate' must be", "got -1"),
        (geometry.random_scale_and_translate, {"size": (0, 1)}, "'size' must be", "got (0, 1)"),
        (geometry.random_resized_crop, {"area": (0.0, 1.0)}, "'area' must be", "got (0.0, 1.0)"),
        (geometry.random_resized_crop, {"aspect": (1.0, 20.0)}, "'aspect' must be", "got (1.0, 20.0)"),
        (geometry.random_resized_crop, {"visible": 2}, "'visible' must be", "got 2"),
        (geometry.random_rotation, {"degrees": 181}, "'rotate' must be", "got 181"),
        (geometry.random_rotation, {"hull": "elipse"}, "did you mean 'ellipse'"),
        (geometry.random_rotation, {"color": 300}, "'color' must be", "got 300"),
    ]:
        assert_refused(lambda f=function, o=options: f(example, rng, **o), *parts)
