"""Thresholds against scikit-image."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.filters
from jax.test_util import check_grads

from imgloc.image import thresholds
from tests.image.photographs import COLOR, batch, photograph, pixels
from tests.refusals import assert_refused

otsu = jax.jit(thresholds.otsu, static_argnames=("bins", "levels"))

local = jax.jit(thresholds.local, static_argnames=("size", "method", "offset", "sigma", "border"))
niblack = jax.jit(thresholds.niblack, static_argnums=(1, 2))
sauvola = jax.jit(thresholds.sauvola, static_argnums=(1, 2, 3))


@pytest.mark.parametrize("name", [*COLOR, "camera"])
def test_otsu_is_that_of_scikit_image(name: str) -> None:
    integers, image = pixels(name)[:60, :60], photograph(name)[:60, :60]
    channels = np.moveaxis(image, -1, 0) if image.ndim == 3 else np.stack([image, image[::-1] ** 2, image / 3])
    found = otsu(channels[..., None])
    assert found.shape == (3, 1, 1, 1)
    for one, channel in zip(found.ravel(), channels, strict=True):
        assert one == skimage.filters.threshold_otsu(channel)
    by_level = otsu(image.reshape(1, 60, 60, -1), levels=256).item() * 255
    assert by_level == pytest.approx(skimage.filters.threshold_otsu(integers.reshape(60, -1)), abs=1e-4)


def test_otsu_of_16_bits_and_few_bins() -> None:
    integers = np.random.default_rng(0).normal(20000, 5000, (40, 50)).astype(np.uint16)
    integers[:, :20] += 20000
    image = (integers / 65535).astype(np.float32)[None, :, :, None]
    assert otsu(image, levels=65536).item() * 65535 == pytest.approx(skimage.filters.threshold_otsu(integers), abs=0.1)
    assert otsu(image, bins=10).item() == pytest.approx(skimage.filters.threshold_otsu(image[0, :, :, 0], nbins=10), rel=1e-6)
    np.testing.assert_array_equal(otsu(image, bins=1), (image.min() + image.max()) / 2)


@pytest.mark.parametrize("shape", [(1, 1), (4, 5)])
def test_otsu_of_a_constant_image_is_its_value(shape: tuple[int, int]) -> None:
    constant = np.full((2, *shape, 1), 0.3, np.float32)
    np.testing.assert_array_equal(otsu(constant), np.float32(0.3).reshape(1, 1, 1, 1).repeat(2, 0))


@pytest.mark.parametrize("size", [1, 3, 15, 99])
def test_local_thresholds_are_those_of_scikit_image(size: int) -> None:
    image = photograph("coffee")
    for channel in (0, 2):
        gray = image[..., channel].astype(float)
        for method in ("mean", "gaussian"):
            found = local(image[None], size, method=method, offset=0.05)[0, ..., channel]  # type: ignore[arg-type]
            np.testing.assert_allclose(found, skimage.filters.threshold_local(gray, size, method, offset=0.05), atol=1e-5)
        found = local(image[None], 9, sigma=2.5, border="nearest")[0, ..., channel]
        np.testing.assert_allclose(found, skimage.filters.threshold_local(gray, 9, param=2.5, mode="nearest"), atol=1e-5)


@pytest.mark.parametrize("size", [3, 15])
def test_niblack_and_sauvola_are_those_of_scikit_image(size: int) -> None:
    gray = batch(photograph("camera"))
    oracle = gray[0, :, :, 0].astype(float)
    by_niblack, by_sauvola = niblack(gray, size, 0.3), sauvola(gray, size, 0.3, 0.5)
    np.testing.assert_allclose(by_niblack[0, :, :, 0], skimage.filters.threshold_niblack(oracle, size, 0.3), atol=1e-5)
    np.testing.assert_allclose(by_sauvola[0, :, :, 0], skimage.filters.threshold_sauvola(oracle, size, 0.3, 0.5), atol=1e-5)


def test_gradients_are_those_of_finite_differences_and_finite_at_constant_images() -> None:
    images = jnp.asarray(np.random.default_rng(3).uniform(size=(1, 4, 5, 1)), jnp.float32)
    for function in (thresholds.local, thresholds.niblack, thresholds.sauvola):
        threshold = jax.jit(function, static_argnums=1)
        check_grads(lambda x, threshold=threshold: threshold(x, 3), (images,), order=1, modes=["rev"], atol=0.02, rtol=0.02, eps=1e-3)
        slope = jax.grad(lambda x, threshold=threshold: threshold(x, 3).sum())(jnp.full((1, 4, 5, 1), 0.5))
        assert np.all(np.isfinite(slope))


def test_wrong_options_are_refused() -> None:
    images = np.zeros((1, 4, 4, 1), np.float32)
    for threshold in (thresholds.local, thresholds.niblack, thresholds.sauvola):
        message = f"{threshold.__name__}.size must be an odd integer of at least 1, got 4"
        assert_refused(lambda threshold=threshold: threshold(images, 4), message)  # type: ignore[misc]
    assert_refused(lambda: thresholds.local(images, 3, method="media"), "unknown method 'media'")  # type: ignore[arg-type]
    assert_refused(lambda: thresholds.local(images, 3, border="constant"), "unknown border 'constant'")
    assert_refused(lambda: thresholds.local(images, 3, sigma=-1), "sigma must be at least 0")
    assert_refused(lambda: thresholds.sauvola(images, 3, r=0), "sauvola.r must be greater than 0")
