"""Pixel operations against NumPy and SciPy, for one and three channels."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from imgloc.data.transforms import pixels


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def test_an_image_of_the_same_size_is_returned() -> None:
    image = noise(16, 24)
    assert pixels.resize_image(image, 16, 24) is image


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(64, 72), (17, 23), (9, 13), (16, 48)])
def test_resizing_down_to_half_is_bilinear(size: tuple[int, int], channels: int) -> None:
    image = noise(16, 24, channels)
    got = pixels.resize_image(image, *size).astype(float)
    y, x = ((np.arange(after) + 0.5) * before / after - 0.5 for before, after in zip((16, 24), size, strict=True))
    for channel in range(channels):
        smooth = image[..., channel].astype(float)
        expected = scipy.ndimage.map_coordinates(smooth, np.meshgrid(y, x, indexing="ij"), order=1, mode="nearest")
        assert np.abs(got[..., channel] - expected).max() <= 1.0


@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_to_half_or_less_averages_areas(channels: int) -> None:
    image = noise(64, 96, channels)
    for scale in (2, 4, 8):
        means = image.reshape(64 // scale, scale, 96 // scale, scale, channels).mean(axis=(1, 3))
        assert np.abs(pixels.resize_image(image, 64 // scale, 96 // scale) - means).max() <= 0.51
    fine = np.zeros((64, 64, channels), np.uint8)
    fine[::2] = 200  # stripes, from which sparse sampling would return all or nothing
    for size in ((30, 64), (16, 16), (9, 200), (7, 13)):
        assert np.abs(pixels.resize_image(fine, *size).astype(float) - 100).max() <= 200 / (64 / size[0])


def test_fractional_edges_are_exact() -> None:
    image = noise(20, 30)
    whole = pixels.resample(image, (4, 3, 24, 15), 24, 40)
    np.testing.assert_array_equal(whole, pixels.resize_image(image[3:15, 4:24], 24, 40))
    between = pixels.resample(image, (4.5, 3.25, 24.5, 15.25), 12, 20).astype(float)  # pixel for pixel, shifted
    expected = scipy.ndimage.shift(image.astype(float), (-3.25, -4.5, 0), order=1)[:12, :20]
    assert np.abs(between - expected)[:-1, :-1].max() <= 6  # of 255: OpenCV interpolates at 32 places between pixels
    assert pixels.resample(image, (29.7, 19.7, 30, 20), 2, 2).shape == (2, 2, 3)
    assert pixels.resample(image, (0.2, 0.2, 29.8, 19.8), 3, 4).shape == (3, 4, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_views_and_read_only_arrays_are_accepted(channels: int) -> None:
    image = noise(40, 50, channels)
    image.setflags(write=False)
    part = image[5:30, 7:45]
    for done in (
        pixels.flip_image(part), pixels.gaussian_blur(part, 1.0), pixels.convolve(part, np.eye(3) / 3), pixels.resize_image(part, 25, 38),
        pixels.warp_affine(part, np.array([[1.0, 0, 0], [0, 1, 0]]), 25, 38, color=(0,) * channels),
    ):  # fmt: skip
        assert done.shape == part.shape
        assert done.dtype == np.uint8
    np.testing.assert_array_equal(pixels.flip_image(part), part[:, ::-1])
    np.testing.assert_allclose(pixels.channel_means(part), part.reshape(-1, channels).mean(axis=0), atol=1e-9)
