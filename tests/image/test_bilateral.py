"""The bilateral filter against OpenCV."""

from __future__ import annotations

import cv2
import jax
import numpy as np
import pytest
from jax.test_util import check_grads
from skimage import util

from imgloc.image.bilateral import bilateral
from tests.image.photographs import batch, pixels, single
from tests.refusals import assert_refused

GRAY, RGB = util.img_as_float32(pixels("camera", 31, 26)), util.img_as_float32(pixels("chelsea", 24, 21))


@pytest.mark.parametrize(("sigma_color", "sigma_space", "radius"), [(0.1, 2.0, None), (0.4, 1.0, 3), (0.05, 0.2, None)])
def test_the_result_is_that_of_opencv(sigma_color: float, sigma_space: float, radius: int | None) -> None:
    filtered = jax.jit(lambda x, sigma: bilateral(x, sigma, sigma_space, radius=radius))
    for image in (GRAY, RGB):
        expected = cv2.bilateralFilter(image, 2 * radius + 1 if radius else 0, sigma_color, sigma_space)
        np.testing.assert_allclose(single(filtered(batch(image), sigma_color)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("border", "type_"), [("reflect", cv2.BORDER_REFLECT), ("nearest", cv2.BORDER_REPLICATE), ("constant", cv2.BORDER_CONSTANT)]
)
def test_borders_are_those_of_opencv(border: str, type_: int) -> None:
    expected = cv2.bilateralFilter(GRAY, 5, 0.3, 2.0, borderType=type_)
    result = jax.jit(lambda x: bilateral(x, 0.3, 2.0, radius=2, border=border))(batch(GRAY))  # type: ignore[arg-type]
    np.testing.assert_allclose(single(result), expected, atol=1e-5)


def test_a_step_keeps_its_height_and_noise_is_removed() -> None:
    noise = np.random.default_rng(0).normal(scale=0.02, size=(20, 20))
    step = np.repeat(np.repeat([[0.2, 0.8]], 10, axis=1), 20, axis=0)
    result = single(jax.jit(lambda x: bilateral(x, 0.1, 2.0))(batch(step + noise)))
    assert np.abs(result - step)[2:-2, 2:-2].max() < np.abs(noise).max() / 2


def test_gradients_are_those_of_finite_differences() -> None:
    with jax.enable_x64(True):
        image = np.random.default_rng(0).uniform(size=(1, 4, 5, 3))  # no two colors are equal: the distance has a kink there
        check_grads(jax.jit(lambda x, sigma: bilateral(x, sigma, 1.0)), (image, 0.2), order=1, modes=["rev"], eps=1e-6)


def test_wrong_options_are_refused() -> None:
    images = batch(GRAY)
    assert_refused(lambda: bilateral(images, 0, 1), "bilateral.sigma_color must be greater than 0, got 0")
    assert_refused(lambda: bilateral(images, 1, -1), "bilateral.sigma_space must be greater than 0, got -1")
    assert_refused(lambda: bilateral(images, 1, 1, radius=0), "bilateral.radius must be an integer of at least 1, got 0")
