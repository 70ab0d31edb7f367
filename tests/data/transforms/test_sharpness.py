"""Blur against SciPy, sharpening against Pillow."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image, ImageEnhance

from imgloc.data.transforms import sharpness
from tests.data.transforms.rectangles import draw_example
from tests.refusals import assert_refused

INNER = (slice(2, -2), slice(2, -2))  # borders are handled differently


def noisy(channels: int):
    image = np.random.default_rng(0).integers(60, 190, (40, 50, channels), dtype=np.uint8)
    return dataclasses.replace(draw_example((40, 50), [(3, 3, 9, 9)], channels=channels), image_hxwxc=image)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [0.8, 1.5, 3.0])
def test_a_blur_is_close_to_a_gaussian(sigma: float, channels: int) -> None:
    example = noisy(channels)
    got = sharpness.random_blur(example, np.random.default_rng(0), probability=1.0, sigma=(sigma, sigma))
    expected = scipy.ndimage.gaussian_filter(example.image_hxwxc.astype(float), (sigma, sigma, 0), mode="nearest")
    change = np.abs(expected - example.image_hxwxc).mean()
    assert np.abs(got.image_hxwxc - expected)[INNER].mean() < 0.1 * change
    assert got.boxes_nx4 is example.boxes_nx4


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 2.0])
def test_sharpening_equals_that_of_pillow(factor: float, channels: int) -> None:
    image = noisy(channels).image_hxwxc
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    expected = np.asarray(ImageEnhance.Sharpness(picture).enhance(factor)).reshape(image.shape)
    got = sharpness.adjust_sharpness(image, factor)
    assert np.abs(got.astype(int) - expected)[INNER].max() <= 2  # rounded means, twice
    assert (np.abs(got.astype(int) - image).max() > 20) == (factor != 1)


@pytest.mark.parametrize("function", [sharpness.random_blur, sharpness.random_sharpen])
def test_the_share_of_changes_is_the_probability(function) -> None:
    example, rng = noisy(1), np.random.default_rng(0)
    assert 0.2 < np.mean([function(example, rng, probability=0.3) is not example for _ in range(200)]) < 0.4
    assert function(example, rng, probability=0.0) is example
    assert all(function(example, rng, probability=1.0) is not example for _ in range(20))


def test_random_options_span_their_ranges() -> None:
    example, rng = noisy(1), np.random.default_rng(0)
    spread = [sharpness.random_blur(example, rng, probability=1.0, sigma=(0.5, 3.0)).image_hxwxc.std() for _ in range(30)]
    assert max(spread) > 2 * min(spread)
    spread = [sharpness.random_sharpen(example, rng, probability=1.0, factor=(0.0, 2.0)).image_hxwxc.std() for _ in range(30)]
    assert max(spread) > 1.5 * min(spread)


def test_invalid_options_raise() -> None:
    example, rng = noisy(3), np.random.default_rng(0)
    assert_refused(lambda: sharpness.random_blur(example, rng, probability=2), "'blur' must be", "got 2")
    assert_refused(lambda: sharpness.random_blur(example, rng, sigma=(-1, 1)), "'sigma' must be", "got (-1, 1)")
    assert_refused(lambda: sharpness.random_sharpen(example, rng, probability=-1), "'sharpen' must be", "got -1")
    assert_refused(lambda: sharpness.random_sharpen(example, rng, factor=3), "'factor' must be", "got 3")
