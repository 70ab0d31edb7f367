"""Derivatives against scikit-image and SciPy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import skimage.filters
from jax.test_util import check_grads
from skimage import util

from imgloc.image import gradients
from tests.image.photographs import batch, pixels, single
from tests.refusals import assert_refused

GRAY = util.img_as_float32(pixels("camera", 31, 22))


@pytest.mark.parametrize("name", ["sobel", "scharr", "prewitt"])
@pytest.mark.parametrize(("axis", "number"), [(None, None), ("y", 0), ("x", 1)])
def test_edge_filters_are_those_of_scikit_image(name: str, axis: Any, number: int | None) -> None:
    for border in ("reflect", "constant"):
        expected = getattr(skimage.filters, name)(GRAY, axis=number, mode=border, cval=0.4)
        result = jax.jit(lambda x, border=border: getattr(gradients, name)(x, axis, border=border, value=0.4))(batch(GRAY))
        np.testing.assert_allclose(single(result), expected, atol=1e-5)


def test_channels_are_filtered_alone() -> None:
    image = pixels("chelsea", 20, 17)
    expected = np.stack([skimage.filters.sobel(image[..., c]) for c in range(3)], axis=-1)
    np.testing.assert_allclose(single(jax.jit(gradients.sobel)(batch(image))), expected, atol=1e-5)


def test_second_derivatives_are_those_of_scikit_image_and_scipy() -> None:
    np.testing.assert_allclose(single(jax.jit(gradients.laplacian)(batch(GRAY))), skimage.filters.laplace(GRAY), atol=1e-5)
    for sigma in (1.5, (0.7, 2.0)):
        result = jax.jit(lambda x, s=sigma: gradients.laplacian_of_gaussian(x, s, border="wrap"))(batch(GRAY))
        np.testing.assert_allclose(single(result), scipy.ndimage.gaussian_laplace(GRAY, sigma, mode="wrap"), atol=1e-5)


@pytest.mark.parametrize(("low", "high"), [(1.0, None), (0.5, 2.0), ((1.0, 0.5), (1.0, 3.0))])
def test_differences_of_gaussians_are_those_of_scikit_image(low: Any, high: Any) -> None:
    image = pixels("chelsea", 20, 17)
    expected = skimage.filters.difference_of_gaussians(image, low, high, mode="constant", cval=0.2, channel_axis=2)
    result = jax.jit(lambda x: gradients.difference_of_gaussians(x, low, high, border="constant", value=0.2))(batch(image))
    np.testing.assert_allclose(single(result), expected, atol=1e-5)


def test_a_step_of_height_1_has_the_derivative_1_and_ramps_the_right_sign() -> None:
    step = np.repeat(np.array([[0.0, 0.0, 1.0, 1.0]], np.float32), 4, axis=0)
    for each in (gradients.sobel, gradients.scharr, gradients.prewitt):
        np.testing.assert_allclose(single(each(batch(step), "x")), [[0, 1, 1, 0]] * 4, atol=1e-6)
        np.testing.assert_allclose(single(each(batch(step.T), "y")), np.array([[0, 1, 1, 0]] * 4).T, atol=1e-6)


def test_the_gradient_of_the_magnitude_is_that_of_finite_differences_and_0_at_0() -> None:
    with jax.enable_x64(True):
        images = batch(util.img_as_float(pixels("camera", 5, 4)))
        check_grads(jax.jit(gradients.sobel), (images,), order=1, modes=["rev"], eps=1e-6)
    flat = jax.jit(jax.grad(lambda x: gradients.sobel(x).sum()))(jnp.full((1, 5, 4, 1), 0.5))
    np.testing.assert_array_equal(flat, 0)


def test_wrong_options_are_refused() -> None:
    images = batch(GRAY)
    assert_refused(lambda: gradients.sobel(images, "rows"), "unknown axis 'rows'; possible: x, y")  # type: ignore[arg-type]
    assert_refused(lambda: gradients.laplacian_of_gaussian(images, 0), "laplacian_of_gaussian.sigma must be greater than 0, got 0")
    assert_refused(
        lambda: gradients.difference_of_gaussians(images, 2, 1), "difference_of_gaussians.high_sigma must be at least low_sigma 2, got 1"
    )
