"""Blur against SciPy's Gaussian, sharpening against Pillow's own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image, ImageEnhance

from imgloc.data.transforms import sharpness
from tests.data.transforms.rectangles import drawn
from tests.refusals import assert_refused

INNER = (slice(2, -2), slice(2, -2))  # what lies beyond the edge is anybody's guess


def noisy(channels: int):
    image = np.random.default_rng(0).integers(60, 190, (40, 50, channels), dtype=np.uint8)
    return dataclasses.replace(drawn((40, 50), [(3, 3, 9, 9)], channels=channels), image_hxwxc=image)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [0.8, 1.5, 3.0])
def test_a_blur_is_close_to_a_gaussian(sigma: float, channels: int) -> None:
    example = noisy(channels)
    got = sharpness.blur(example, np.random.default_rng(0), chance=1.0, sigma=(sigma, sigma))
    expected = scipy.ndimage.gaussian_filter(example.image_hxwxc.astype(float), (sigma, sigma, 0), mode="nearest")
    change = np.abs(expected - example.image_hxwxc).mean()
    assert np.abs(got.image_hxwxc - expected)[INNER].mean() < 0.1 * change  # three box blurs are not quite a Gaussian
    assert got.boxes_nx4 is example.boxes_nx4


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 2.0])
def test_sharpening_is_that_of_pillow(factor: float, channels: int) -> None:
    image = noisy(channels).image_hxwxc
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    expected = np.asarray(ImageEnhance.Sharpness(picture).enhance(factor)).reshape(image.shape)
    got = sharpness.sharpened(image, factor)
    assert np.abs(got.astype(int) - expected)[INNER].max() <= 2  # rounded means, twice
    assert (np.abs(got.astype(int) - image).max() > 20) == (factor != 1)


@pytest.mark.parametrize("function", [sharpness.blur, sharpness.sharpen])
def test_it_is_done_as_often_as_asked(function) -> None:
    example, rng = noisy(1), np.random.default_rng(0)
    assert 0.2 < np.mean([function(example, rng, chance=0.3) is not example for _ in range(200)]) < 0.4
    assert function(example, rng, chance=0.0) is example
    assert all(function(example, rng, chance=1.0) is not example for _ in range(20))


def test_ranges_are_drawn_from() -> None:
    example, rng = noisy(1), np.random.default_rng(0)
    spread = [sharpness.blur(example, rng, chance=1.0, sigma=(0.5, 3.0)).image_hxwxc.std() for _ in range(30)]
    assert max(spread) > 2 * min(spread)
    spread = [sharpness.sharpen(example, rng, chance=1.0, factor=(0.0, 2.0)).image_hxwxc.std() for _ in range(30)]
    assert max(spread) > 1.5 * min(spread)


def test_mistakes_are_refused() -> None:
    example, rng = noisy(3), np.random.default_rng(0)
    assert_refused(lambda: sharpness.blur(example, rng, chance=2), "'blur' is 2")
    assert_refused(lambda: sharpness.blur(example, rng, sigma=(-1, 1)), "'sigma' is (-1, 1)")
    assert_refused(lambda: sharpness.sharpen(example, rng, chance=-1), "'sharpen' is -1")
    assert_refused(lambda: sharpness.sharpen(example, rng, factor=3), "'factor' is 3")
