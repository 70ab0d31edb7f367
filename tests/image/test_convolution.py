"""Correlation and convolution against SciPy."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import scipy.ndimage
from jax.test_util import check_grads

from imgloc.image.convolution import convolve, correlate, correlate_axis, correlate_separable
from tests.image.photographs import batch, single
from tests.refusals import assert_refused

BORDERS = ("reflect", "mirror", "nearest", "wrap", "constant")
IMAGE = np.random.default_rng(0).uniform(size=(13, 10)).astype(np.float32)


def kernel(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape)


@pytest.mark.parametrize(  # the larger two by their spectra
    ("border", "shape"), [*((border, (2, 5)) for border in BORDERS), *(("constant", shape) for shape in ((1, 1), (9, 9), (12, 7)))]
)
def test_dense_kernels_give_the_results_of_scipy(border: str, shape: tuple[int, int]) -> None:
    weights = kernel(*shape)
    for ours, theirs in ((correlate, scipy.ndimage.correlate), (convolve, scipy.ndimage.convolve)):
        expected = theirs(IMAGE, weights, mode=border, cval=0.3)
        np.testing.assert_allclose(single(jax.jit(ours, static_argnums=2)(batch(IMAGE), weights, border, 0.3)), expected, atol=1e-5)


@pytest.mark.parametrize("weights", [[1, 3, 2], [1, 2, 1], [-1, 0, 1], [-1, 2, 0, -2, 1], [1, 1], [3]])
def test_kernels_of_one_axis_give_the_results_of_scipy(weights: list[float]) -> None:
    numbers = np.array(weights, float)
    for number, axis in enumerate(("y", "x")):
        expected = scipy.ndimage.correlate1d(IMAGE, numbers, axis=number, mode="constant", cval=0.3)
        np.testing.assert_allclose(single(correlate_axis(batch(IMAGE), numbers, axis, "constant", 0.3)), expected, atol=1e-6)  # type: ignore[arg-type]


def test_a_separable_kernel_is_the_product_of_both() -> None:
    rows, columns = kernel(5), kernel(3)
    expected = scipy.ndimage.correlate(IMAGE, rows[:, None] * columns)
    np.testing.assert_allclose(single(correlate_separable(batch(IMAGE), rows, columns)), expected, atol=1e-5)


@pytest.mark.parametrize("size", [3, 9])
def test_images_of_one_pixel_and_channels_are_filtered_alone(size: int) -> None:
    images = np.random.default_rng(2).uniform(size=(2, 1, 1, 3)).astype(np.float32)
    weights = kernel(size, size)
    np.testing.assert_allclose(correlate(images, weights), images * weights.sum(), rtol=1e-4)
    np.testing.assert_allclose(correlate(images, weights, "constant"), images * weights[size // 2, size // 2], atol=1e-5)


@pytest.mark.parametrize("size", [3, 9])
def test_the_gradients_are_those_of_finite_differences(size: int) -> None:
    with jax.enable_x64(True):
        images = batch(IMAGE[:5, :4].astype(np.float64))
        check_grads(jax.jit(lambda x, k: correlate(x, k, "mirror")), (images, kernel(size, size)), order=1, modes=["rev"], eps=1e-6)
        check_grads(jax.jit(lambda x, k: correlate_axis(x, k, "y")), (images, kernel(3)), order=1, modes=["rev"], eps=1e-6)


def test_wrong_kernels_axes_and_borders_are_refused() -> None:
    images = batch(IMAGE)
    assert_refused(lambda: correlate(images, kernel(3)), "a kernel must have two axes and at least one weight, got the shape (3,)")
    assert_refused(lambda: correlate(images, np.zeros((0, 3))), "got the shape (0, 3)")
    assert_refused(lambda: correlate_axis(images, kernel(3), "z"), "unknown axis 'z'; possible: x, y")  # type: ignore[arg-type]
    assert_refused(lambda: convolve(images, kernel(3, 3), "edge"), "unknown border 'edge'")  # type: ignore[arg-type]
