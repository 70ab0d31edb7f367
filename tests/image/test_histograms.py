"""Histograms, equalization, contrast and color balance against scikit-image and NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.exposure
from jax.test_util import check_grads

from imgloc.image import histograms
from imgloc.types import FloatArray
from tests.image.photographs import COLOR, batch, photograph, pixels
from tests.refusals import assert_refused

equalize = jax.jit(histograms.equalize, static_argnames=("bins", "levels"))
histogram = jax.jit(histograms.histogram, static_argnames=("bins", "levels"))
soft_histogram = jax.jit(histograms.soft_histogram, static_argnames="bins")
rescale = jax.jit(histograms.rescale, static_argnames="to")
adjust_gamma = jax.jit(histograms.adjust_gamma, static_argnums=(1, 2))
white_patch = jax.jit(histograms.white_patch, static_argnums=1)
gray_world = jax.jit(histograms.gray_world)


@pytest.mark.parametrize("bins", [1, 40, 256])
@pytest.mark.parametrize("name", ["coffee", "camera"])
def test_histograms_are_those_of_scikit_image(name: str, bins: int) -> None:
    image = photograph(name)
    found = histogram(image.reshape(1, *image.shape[:2], -1), bins=bins)
    counts, edges = np.histogram(image, bins)
    np.testing.assert_array_equal(found.counts_bxn[0], counts)
    np.testing.assert_allclose(found.centers_bxn[0], (edges[1:] + edges[:-1]) / 2, rtol=1e-6)


@pytest.mark.parametrize("bits", [8, 16])
def test_integers_have_a_bin_each(bits: int) -> None:
    levels = 2**bits
    integers = np.random.default_rng(0).integers(0, levels, (2, 9, 7, 1))
    counts, centers = histogram((integers / (levels - 1)).astype(np.float32), levels=levels)
    for b in range(2):
        np.testing.assert_array_equal(counts[b], np.bincount(integers[b].ravel(), minlength=levels))
    np.testing.assert_allclose(centers[0], np.arange(levels) / (levels - 1), rtol=1e-6)


@pytest.mark.parametrize("name", [*COLOR, "camera"])
def test_equalized_images_are_those_of_scikit_image(name: str) -> None:
    image = photograph(name)
    batch = image.reshape(1, *image.shape[:2], -1)
    for bins in (256, 40):
        expected = skimage.exposure.equalize_hist(image.ravel(), nbins=bins).reshape(image.shape)
        np.testing.assert_allclose(equalize(batch, bins=bins).reshape(image.shape), expected, atol=1e-5)
    expected = skimage.exposure.equalize_hist(pixels(name).ravel()).reshape(image.shape)
    np.testing.assert_allclose(equalize(batch, levels=256).reshape(image.shape), expected, atol=1e-5)


@pytest.mark.parametrize("image", [np.full((1, 1), 0.3), np.full((3, 4), 0.7), np.array([[0.1, 0.9]])])
def test_equalized_constant_and_tiny_images(image: FloatArray) -> None:
    image = image.astype(np.float32)
    np.testing.assert_allclose(equalize(image[None, :, :, None])[0, :, :, 0], skimage.exposure.equalize_hist(image), atol=1e-5)


def test_a_soft_histogram_shares_each_value_between_two_bins() -> None:
    values = np.array([0.125, 0.25, 0.85, 0.0, 1.0], np.float32).reshape(1, 1, 5, 1)
    centers = np.array([0.125, 0.375, 0.625, 0.875])
    inside = np.clip(values.ravel(), centers[0], centers[-1])
    expected = np.maximum(0, 1 - np.abs(inside[:, None] - centers) * 4).sum(axis=0)
    soft = soft_histogram(values, bins=4)
    np.testing.assert_allclose(soft[0], expected, atol=1e-5)
    np.testing.assert_allclose(soft_histogram(values, bins=1)[0], [5])
    camera = batch(photograph("camera"))
    # Values at the centers of bins are counted as in the exact histogram.
    at_centers = (camera * 255 + 0.5) / 256
    np.testing.assert_allclose(soft_histogram(at_centers, bins=256), histogram(camera, levels=256).counts_bxn, atol=0.02)


def test_a_soft_histogram_has_the_gradient_of_finite_differences() -> None:
    images = jnp.asarray(np.random.default_rng(1).uniform(size=(1, 3, 3, 1)), jnp.float32)
    weights = jnp.arange(7.0) ** 2
    check_grads(lambda x: jnp.sum(soft_histogram(x, bins=7) * weights), (images,), order=1, modes=["rev"], atol=0.1, rtol=0.02, eps=1e-3)


@pytest.mark.parametrize(("low", "high"), [(None, None), (0.2, 0.6), (0.4, 0.4)])
def test_rescaled_images_are_those_of_scikit_image(low: float | None, high: float | None) -> None:
    image = photograph("chelsea")
    in_range = "image" if low is None else (low, high)
    for to in ((0.0, 1.0), (0.25, 0.5)):
        expected = skimage.exposure.rescale_intensity(image, in_range=in_range, out_range=to)
        np.testing.assert_allclose(rescale(image[None], low, high, to=to)[0], expected, atol=1e-6)


def test_rescaling_has_the_gradient_of_finite_differences_under_vmap() -> None:
    images = jnp.asarray(np.random.default_rng(2).permutation(24).reshape(2, 1, 3, 4, 1) / 24, jnp.float32)
    check_grads(jax.jit(jax.vmap(histograms.rescale)), (images,), order=1, modes=["rev"], atol=0.02, rtol=0.02, eps=1e-3)


def test_contrast_is_stretched_between_percentiles() -> None:
    images = np.stack([photograph("astronaut"), photograph("astronaut")[::-1] * 0.5])
    stretched = jax.jit(histograms.stretch_contrast, static_argnums=(1, 2))(images, 5, 90)
    for image, one in zip(images, stretched, strict=True):
        expected = skimage.exposure.rescale_intensity(image, in_range=tuple(np.percentile(image, (5, 90))), out_range=(0, 1))
        np.testing.assert_allclose(one, expected, atol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.2])
def test_gamma_is_that_of_scikit_image(gamma: float) -> None:
    image = photograph("coffee") * (photograph("coffee") > 0.2)
    np.testing.assert_allclose(adjust_gamma(image[None], gamma, 0.8)[0], skimage.exposure.adjust_gamma(image, gamma, 0.8), atol=1e-6)
    slope = jax.grad(lambda x: adjust_gamma(x, gamma, 1.0).sum())(jnp.array([0.0, 0.5]).reshape(1, 1, 2, 1)).ravel()
    np.testing.assert_allclose(slope, [0, gamma * 0.5 ** (gamma - 1)], atol=1e-5)


def test_white_balance_follows_its_formulas() -> None:
    image = photograph("chelsea")[None]
    means = image.mean(axis=(1, 2), dtype=float)[0]
    np.testing.assert_allclose(gray_world(image), np.clip(image * means.mean() / means, 0, 1), atol=1e-6)
    for percentile in (100, 95):
        white = np.percentile(image, percentile, axis=(1, 2))[0]
        np.testing.assert_allclose(white_patch(image, percentile), np.clip(image / white, 0, 1), atol=1e-6)
    dark = image * np.array([1, 0, 1], np.float32)
    for balance in (gray_world, white_patch):
        np.testing.assert_array_equal(balance(dark)[..., 1], 0)
        assert np.all(np.isfinite(jax.grad(lambda x, balance=balance: balance(x).sum())(jnp.asarray(dark))))


def test_wrong_options_are_refused() -> None:
    images = np.zeros((1, 2, 2, 1), np.float32)
    assert_refused(lambda: histograms.histogram(images, bins=0), "bins must be at least 1, got 0")
    assert_refused(lambda: histograms.histogram(images, levels=1), "levels must be at least 2, got 1")
    assert_refused(lambda: histograms.soft_histogram(images, bins=0), "bins must be at least 1")
    assert_refused(lambda: histograms.soft_histogram(images, low=1, high=1), "low < high")
    assert_refused(lambda: histograms.stretch_contrast(images, 60, 40), "lower < upper")
    assert_refused(lambda: histograms.adjust_gamma(images, -1), "gamma must be at least 0, got -1")
    assert_refused(lambda: histograms.white_patch(images, 0), "percentile")
