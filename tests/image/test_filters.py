"""Smoothing and sharpening against scikit-image and SciPy."""

from __future__ import annotations

from typing import Any

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import skimage.filters
from jax.test_util import check_grads
from skimage import util

from imgloc.image.filters import box, gaussian, gaussian_weights, median, selection_network, unsharp_mask
from tests.image.photographs import batch, pixels, single
from tests.refusals import assert_refused

BORDERS = ("reflect", "mirror", "nearest", "wrap", "constant")
GRAY, RGB = util.img_as_float32(pixels("camera", 31, 22)), util.img_as_float32(pixels("chelsea", 21, 26))
fast_gaussian = jax.jit(gaussian, static_argnums=1, static_argnames=("truncate", "border", "value", "radius"))
fast_unsharp_mask = jax.jit(unsharp_mask, static_argnums=(1, 2), static_argnames=("clip",))
PIXEL = np.full((1, 1), 0.7, np.float32)


@pytest.mark.parametrize("border", BORDERS)
def test_the_gaussian_is_that_of_scikit_image(border: str) -> None:
    cases: list[tuple[Any, Any, float]] = [(GRAY, 1.3, 4.0)]
    if border in ("nearest", "constant"):
        cases += [(RGB, (0.6, 2.0), 2.5), (PIXEL, 1.3, 4.0), (GRAY, (0.0, 1.0), 4.0)]
    for image, sigma, truncate in cases:
        options = {"truncate": truncate, "mode": border, "cval": 0.3}
        expected = skimage.filters.gaussian(image, sigma, channel_axis=2 if image.ndim == 3 else None, **options)
        result = fast_gaussian(batch(image), sigma, truncate=truncate, border=border, value=0.3)
        np.testing.assert_allclose(single(result), expected, atol=1e-5)


def test_images_of_8_and_16_bits_are_filtered_as_floats() -> None:
    for image in (pixels("camera", 31, 22), pixels("camera", 31, 22).astype(np.uint16) * 257):
        np.testing.assert_allclose(single(fast_gaussian(batch(image), 1.0)), skimage.filters.gaussian(image), atol=1e-5)


def test_a_traced_sigma_gives_the_same_result_and_has_a_gradient() -> None:
    filtered = jax.jit(lambda sigma: gaussian(batch(GRAY), sigma, radius=5))
    np.testing.assert_allclose(filtered(1.2), fast_gaussian(batch(GRAY), 1.2, radius=5), atol=1e-6)
    with jax.enable_x64(True):
        image = batch(GRAY[:7, :6].astype(np.float64))
        check_grads(jax.jit(lambda x, sigma: gaussian(x, sigma, radius=3)), (image, jnp.asarray(1.2)), order=1, modes=["rev"], eps=1e-6)
        for order in (1, 2):
            traced = gaussian_weights(jnp.asarray(1.2), radius=5, order=order)
            np.testing.assert_allclose(traced, gaussian_weights(1.2, radius=5, order=order), rtol=1e-12)


def test_derivatives_of_the_gaussian_are_those_of_scipy() -> None:
    from imgloc.image.convolution import correlate_axis

    for order in (1, 2):
        expected = scipy.ndimage.gaussian_filter1d(GRAY, 1.5, axis=1, order=order)
        np.testing.assert_allclose(single(correlate_axis(batch(GRAY), gaussian_weights(1.5, order=order), "x")), expected, atol=1e-5)


@pytest.mark.parametrize("size", [1, 3, 4, (2, 5)])
def test_the_box_filter_is_that_of_scipy(size: int | tuple[int, int]) -> None:
    for border in ("reflect", "constant", "wrap"):
        expected = scipy.ndimage.uniform_filter(GRAY.astype(np.float64), size, mode=border, cval=0.3)
        np.testing.assert_allclose(single(box(batch(GRAY), size, border=border, value=0.3)), expected, atol=1e-5)  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "border"), [*((3, border) for border in BORDERS), (1, "mirror"), (2, "wrap"), (5, "constant")])
def test_the_median_has_the_bits_of_scipy(size: int, border: str) -> None:
    filtered = jax.jit(median, static_argnums=1, static_argnames=("border", "value"))
    for image in (GRAY, PIXEL) if size == 3 else (GRAY,):
        expected = scipy.ndimage.median_filter(image, size, mode=border, cval=0.5)
        np.testing.assert_array_equal(single(filtered(batch(image), size, border=border, value=0.5)), expected)


def test_the_median_of_color_is_that_of_each_channel() -> None:
    expected = np.stack([skimage.filters.median(RGB[..., c], np.ones((3, 3))) for c in range(3)], axis=-1)
    np.testing.assert_array_equal(single(median(batch(RGB))), expected)


def test_the_gradient_of_the_median_goes_to_the_selected_pixel() -> None:
    image = np.arange(9, dtype=np.float32).reshape(3, 3)
    gradient = jax.jit(jax.grad(lambda x: median(x)[0, 1, 1, 0]))(batch(image))
    np.testing.assert_array_equal(single(gradient), image == 4)


@hypothesis.given(
    st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1), st.lists(st.booleans(), min_size=n, max_size=n)))
)
def test_a_selection_network_selects_every_rank(case: tuple[int, int, list[bool]]) -> None:
    # Zeros and ones suffice: a network that orders all of them orders all numbers (Knuth 5.3.4, theorem Z).
    count, rank, numbers = case
    ordered = list(numbers)
    for low, high in selection_network(count, rank):
        assert low < high
        ordered[low], ordered[high] = min(ordered[low], ordered[high]), max(ordered[low], ordered[high])
    assert ordered[rank] == sorted(numbers)[rank]


@pytest.mark.parametrize(("radius", "amount"), [(1.0, 1.0), (2.0, 3.0), (0.0, -0.5)])
def test_unsharp_masking_is_that_of_scikit_image(radius: float, amount: float) -> None:
    # Channel axis 2, because scikit-image 0.26 leaves most of the result unset for the axis -1.
    for image, channel_axis in ((GRAY, None), (RGB, 2), (GRAY - 0.3, None)):
        expected = skimage.filters.unsharp_mask(image, radius, amount, channel_axis=channel_axis)
        np.testing.assert_allclose(single(fast_unsharp_mask(batch(image), radius, amount)), expected, atol=1e-5)
    expected = skimage.filters.unsharp_mask(GRAY * 9, radius, amount, preserve_range=True)
    np.testing.assert_allclose(single(fast_unsharp_mask(batch(GRAY * 9), radius, amount, clip=False)), expected, atol=1e-4)


def test_the_range_of_sharpened_images_is_chosen_for_each_image() -> None:
    images = np.stack([GRAY, GRAY - 0.3])[..., None]
    expected = [fast_unsharp_mask(image[None], 1.0, 5.0) for image in images]
    np.testing.assert_allclose(fast_unsharp_mask(images, 1.0, 5.0), np.concatenate(expected), atol=1e-6)
    assert float(expected[0].min()) == 0
    assert float(expected[1].min()) < 0


def test_wrong_options_are_refused() -> None:
    images = batch(GRAY)
    assert_refused(lambda: gaussian(images, -1), "gaussian.sigma must be at least 0, got -1")
    assert_refused(lambda: gaussian(images, (1, 2, 3)), "gaussian.sigma must be a number or two numbers (y, x), got (1, 2, 3)")  # type: ignore[arg-type]
    assert_refused(lambda: gaussian(images, truncate=0), "gaussian.truncate must be greater than 0, got 0")
    assert_refused(lambda: gaussian(images, jnp.asarray(1.0)), "gaussian needs radius where sigma is an array")
    assert_refused(lambda: box(images, 0), "box.size must be an integer of at least 1, got 0")
    assert_refused(lambda: median(images, 0), "median.size must be an integer of at least 1, got 0")
    assert_refused(lambda: unsharp_mask(images, -2), "unsharp_mask.radius must be at least 0, got -2")
