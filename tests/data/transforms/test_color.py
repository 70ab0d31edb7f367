"""Colour against Pillow's and the standard library's own arithmetic."""

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
from tests.data.transforms.rectangles import drawn, examples, generators
from tests.refusals import assert_refused


def dull(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Noise that no factor used here takes out of range, nor far from a mean of 110."""
    return np.random.default_rng(0).integers(80, 141, (height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.7])
def test_a_factor_does_what_pillow_does(name: str, factor: float, channels: int) -> None:
    """To two levels: Pillow rounds grey, its mean and the result, each to a whole level."""
    image = dull(31, 45, channels)
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    enhance = {"brightness": ImageEnhance.Brightness, "contrast": ImageEnhance.Contrast, "saturation": ImageEnhance.Color}[name]
    expected = np.asarray(enhance(picture).enhance(factor)).reshape(image.shape)
    got = color.changed(image, **{name: factor})
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - expected).max() <= 2
    changes = factor != 1 and not (name == "saturation" and channels == 1)
    assert (np.abs(got.astype(int) - image).max() > 5) == changes


@pytest.mark.parametrize("channels", [1, 3])
def test_factors_together_do_what_one_after_the_other_does(channels: int) -> None:
    image = dull(20, 30, channels)
    one = color.changed(color.changed(color.changed(image, brightness=1.2), contrast=0.7), saturation=1.4)
    one = color.changed(one, hue=0.1)
    together = color.changed(image, brightness=1.2, contrast=0.7, saturation=1.4, hue=0.1)
    assert np.abs(one.astype(int) - together).max() <= 3


@pytest.mark.parametrize("turn", [-0.4, 0.05, 0.25])
def test_hue_is_a_turn_of_yiqs_chroma(turn: float) -> None:
    """colorsys has slightly other coefficients of YIQ: a few levels."""
    image = dull(6, 8)
    got = color.changed(image, hue=turn).astype(float)
    for pixel, result in zip(image.reshape(-1, 3) / 255, got.reshape(-1, 3), strict=True):
        y, i, q = colorsys.rgb_to_yiq(*pixel)
        chroma = complex(i, q) * np.exp(2j * np.pi * turn)
        assert np.abs(np.array(colorsys.yiq_to_rgb(y, chroma.real, chroma.imag)) * 255 - result).max() < 5
    assert np.abs(got - image).max() > 8
    luma = np.array([0.299, 0.587, 0.114])
    assert np.abs(got @ luma - image @ luma).max() <= 0.51  # rounding


def test_bright_and_dark_are_cut_off_and_not_wrapped() -> None:
    for channels in (1, 3):
        image = np.array([0, 100, 200], np.uint8)[None, :, None].repeat(channels, axis=2)
        assert color.changed(image, brightness=2.0)[0, :, 0].tolist() == [0, 200, 255]
        assert color.changed(image, contrast=3.0)[0, :, 0].tolist() == [0, 100, 255]


@given(examples(), generators, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.5))
def test_jitter_leaves_boxes_and_shapes(
    example: Example, rng: np.random.Generator, brightness: float, contrast: float, saturation: float, hue: float
) -> None:
    got = color.jitter(example, rng, brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
    assert got.image_hxwxc.shape == example.image_hxwxc.shape
    assert got.image_hxwxc.dtype == np.uint8
    assert got.boxes_nx4 is example.boxes_nx4


def test_jitter_draws_from_the_ranges_asked_for() -> None:
    rng = np.random.default_rng(0)
    plain = dataclasses.replace(drawn((4, 4), []), image_hxwxc=np.full((4, 4, 3), 100, np.uint8))
    levels = [color.jitter(plain, rng, brightness=0.3).image_hxwxc[0, 0, 0] for _ in range(300)]
    assert 70 <= min(levels) <= 73
    assert 127 <= max(levels) <= 130
    assert color.jitter(plain, rng) is plain


def test_mistakes_are_refused() -> None:
    example, rng = drawn((4, 4), []), np.random.default_rng(0)
    assert_refused(lambda: color.jitter(example, rng, brightness=1.1), "'brightness' is 1.1", "0 to 1")
    assert_refused(lambda: color.jitter(example, rng, hue=0.6), "'hue' is 0.6", "0 to 0.5")
