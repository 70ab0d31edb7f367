"""Color changes against Pillow and the standard library."""

from __future__ import annotations

import colorsys
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from imgloc.data.transforms import color
from imgloc.types import Example
from tests.data.transforms.rectangles import draw_example, examples, generators
from tests.refusals import assert_refused


def muted_noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Noise around 110 that no factor of these tests clips."""
    return np.random.default_rng(0).integers(80, 141, (height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.7])
def test_each_factor_equals_that_of_pillow(name: str, factor: float, channels: int) -> None:
    """Within two levels: Pillow rounds the gray value, its mean and the result."""
    image = muted_noise(31, 45, channels)
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    enhance = {"brightness": ImageEnhance.Brightness, "contrast": ImageEnhance.Contrast, "saturation": ImageEnhance.Color}[name]
    expected = np.asarray(enhance(picture).enhance(factor)).reshape(image.shape)
    got = color.adjust_color(image, **{name: factor})
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - expected).max() <= 2
    changes = factor != 1 and not (name == "saturation" and channels == 1)
    assert (np.abs(got.astype(int) - image).max() > 5) == changes


@pytest.mark.parametrize("channels", [1, 3])
def test_combined_factors_equal_a_sequence_of_single_ones(channels: int) -> None:
    image = muted_noise(20, 30, channels)
    one = color.adjust_color(color.adjust_color(color.adjust_color(image, brightness=1.2), contrast=0.7), saturation=1.4)
    one = color.adjust_color(one, hue=0.1)
    together = color.adjust_color(image, brightness=1.2, contrast=0.7, saturation=1.4, hue=0.1)
    assert np.abs(one.astype(int) - together).max() <= 3


@pytest.mark.parametrize("turn", [-0.4, 0.05, 0.25])
def test_hue_rotates_the_chroma_plane_of_yiq(turn: float) -> None:
    """Within a few levels: the coefficients of YIQ in colorsys differ slightly."""
    image = muted_noise(6, 8)
    got = color.adjust_color(image, hue=turn).astype(float)
    for pixel, result in zip(image.reshape(-1, 3) / 255, got.reshape(-1, 3), strict=True):
        y, i, q = colorsys.rgb_to_yiq(*pixel)
        chroma = complex(i, q) * np.exp(2j * np.pi * turn)
        assert np.abs(np.array(colorsys.yiq_to_rgb(y, chroma.real, chroma.imag)) * 255 - result).max() < 5
    assert np.abs(got - image).max() > 8
    luma = np.array([0.299, 0.587, 0.114])
    assert np.abs(got @ luma - image @ luma).max() <= 0.51  # rounding


def test_values_are_clipped_and_do_not_wrap() -> None:
    for channels in (1, 3):
        image = np.array([0, 100, 200], np.uint8)[None, :, None].repeat(channels, axis=2)
        assert color.adjust_color(image, brightness=2.0)[0, :, 0].tolist() == [0, 200, 255]
        assert color.adjust_color(image, contrast=3.0)[0, :, 0].tolist() == [0, 100, 255]


@given(examples(), generators, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.5))
def test_jitter_preserves_boxes_and_shapes(
    example: Example, rng: np.random.Generator, brightness: float, contrast: float, saturation: float, hue: float
) -> None:
    got = color.color_jitter(example, rng, brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
    assert got.image_hxwxc.shape == example.image_hxwxc.shape
    assert got.image_hxwxc.dtype == np.uint8
    assert got.boxes_nx4 is example.boxes_nx4


def test_jitter_spans_its_range() -> None:
    rng = np.random.default_rng(0)
    plain = dataclasses.replace(draw_example((4, 4), []), image_hxwxc=np.full((4, 4, 3), 100, np.uint8))
    levels = [color.color_jitter(plain, rng, brightness=0.3).image_hxwxc[0, 0, 0] for _ in range(300)]
    assert 70 <= min(levels) <= 73
    assert 127 <= max(levels) <= 130
    assert color.color_jitter(plain, rng) is plain


def test_invalid_options_raise() -> None:
    example, rng = draw_example((4, 4), []), np.random.default_rng(0)
    assert_refused(lambda: color.color_jitter(example, rng, brightness=1.1), "'brightness' must be", "got 1.1", "0 to 1")
    assert_refused(lambda: color.color_jitter(example, rng, hue=0.6), "'hue' must be", "got 0.6", "0 to 0.5")
