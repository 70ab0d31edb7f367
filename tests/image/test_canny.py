"""Canny's edges against scikit-image, bit by bit."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
import scipy.ndimage
import skimage.feature
from skimage import util

from imgloc.image.canny import canny, hysteresis
from imgloc.types import BoolArray, Uint8Array
from tests.image.photographs import gray_crops
from tests.refusals import assert_refused

OPTIONS: list[dict[str, Any]] = [
    {},
    {"sigma": 2.0, "low": 0.05, "high": 0.15},
    {"sigma": 1.5, "low": 0.7, "high": 0.93, "quantiles": True},
    {"sigma": 0.0, "low": 0.0, "border": "nearest"},
]
fast = jax.jit(canny, static_argnums=1, static_argnames=("sigma", "low", "high", "quantiles", "border", "value"))


@pytest.fixture(scope="module", autouse=True)
def full_optimization(little_optimization: None) -> None:
    """Compilers may change the bits of sums, which these tests compare."""
    jax.config.update("jax_disable_most_optimizations", False)


def of_scikit_image(images_bxhxwx1: Uint8Array, mask_hxw: BoolArray | None = None, **options: Any) -> BoolArray:
    names = {"low": "low_threshold", "high": "high_threshold", "quantiles": "use_quantiles", "border": "mode", "sigma": "sigma"}
    renamed = {names[name]: value for name, value in options.items()}
    return np.stack([skimage.feature.canny(util.img_as_float(i[..., 0]), mask=mask_hxw, **renamed)[..., None] for i in images_bxhxwx1])


def drawn() -> Uint8Array:
    """Steps along the axes and a diagonal, where many magnitudes are equal but for rounding, and noise of two values."""
    shapes = np.zeros((96, 96), np.uint8)
    shapes[20:60, 30:70], shapes[70:80], shapes[np.tril_indices(96, -60)] = 200, 90, 255
    return np.stack([shapes, np.random.default_rng(0).integers(0, 2, (96, 96)).astype(np.uint8) * 255])[..., None]


@pytest.mark.parametrize("options", OPTIONS)
def test_edges_have_equal_bits_in_float64(options: dict[str, Any]) -> None:
    images = np.concatenate([gray_crops(), drawn()])
    expected = of_scikit_image(images, **options)
    assert 0.01 < expected.mean() < 0.5
    with jax.enable_x64(True):
        np.testing.assert_array_equal(fast(images, **options), expected)


def test_edges_of_photographs_of_8_bits_are_equal_in_float32() -> None:
    different = np.asarray(fast(gray_crops())) != of_scikit_image(gray_crops())
    assert different.mean() < 1e-4


def test_a_mask_removes_its_neighborhood() -> None:
    y, x = np.mgrid[:96, :96]
    mask = (y - 50) ** 2 + (x - 40) ** 2 < 1200
    images = gray_crops()
    with jax.enable_x64(True):
        result = fast(images, mask_bxhxwx1=np.broadcast_to(mask[:, :, None], images.shape), border="reflect", low=0.05)
        np.testing.assert_array_equal(result, of_scikit_image(images, mask, border="reflect", low=0.05))


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_small_images(shape: tuple[int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, *shape, 1)).astype(np.uint8)
    with jax.enable_x64(True):
        np.testing.assert_array_equal(fast(images, sigma=0.5), of_scikit_image(images, sigma=0.5))


def test_flat_images_have_no_edges_and_thresholds_may_be_traced() -> None:
    images = np.concatenate([gray_crops(), np.full((1, 96, 96, 1), 77, np.uint8)])
    result = jax.jit(lambda x, low, high: canny(x, low=low, high=high))(images, 0.05, 0.15)
    np.testing.assert_array_equal(result[:4], fast(gray_crops(), low=0.05, high=0.15))
    assert not np.any(result[4])
    assert np.any(result[3])


def test_hysteresis_keeps_the_components_with_a_strong_pixel() -> None:
    generator = np.random.default_rng(1)
    weak = generator.uniform(size=(3, 40, 37, 1)) < 0.35
    weak[2] = False
    weak[2, ::4], weak[2, 3::8, -1], weak[2, 2::8, -1], weak[2, 1::8, -1] = True, True, True, True
    weak[2, 5::8, 0], weak[2, 6::8, 0], weak[2, 7::8, 0] = True, True, True  # a path that winds through the image
    strong = generator.uniform(size=weak.shape) < 0.02
    strong[2] = False
    strong[2, 0, 0] = True
    result = np.asarray(jax.jit(hysteresis)(weak, strong))
    for ours, candidates, seeds in zip(result, weak, strong, strict=True):
        labels, _ = scipy.ndimage.label(candidates[..., 0], np.ones((3, 3)))
        np.testing.assert_array_equal(ours[..., 0], np.isin(labels, labels[seeds[..., 0] & candidates[..., 0]]) & (labels > 0))
    np.testing.assert_array_equal(result[2], weak[2])
    # The images of a batch, and of a mapped function, do not influence each other.
    np.testing.assert_array_equal(jax.jit(jax.vmap(hysteresis))(weak[:, None], strong[:, None])[:, 0], result)


def test_wrong_options_are_refused() -> None:
    images = np.zeros((1, 4, 5, 1))
    assert_refused(lambda: canny(images, low=-1), "canny.low must be at least 0, got -1")
    assert_refused(lambda: canny(images, low=0.3), "canny.high must be at least 0.3, got 0.2")
    assert_refused(lambda: canny(images, high=2, quantiles=True), "canny.high with quantiles must be at most 1, got 2")
    assert_refused(lambda: canny(np.zeros((1, 4, 5, 3))), "canny expects images of one channel, got 3; convert them with as_gray")
    assert_refused(
        lambda: canny(images, mask_bxhxwx1=np.ones((1, 4, 4, 1))), "canny.mask must have the shape of the images (1, 4, 5, 1), got"
    )
