"""Integral images and sums of windows against scikit-image and NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from skimage.transform import integral_image, integrate

from imgloc.image import integral
from tests.image.photographs import batch, photograph
from tests.refusals import assert_refused

window_moments = jax.jit(integral.window_moments, static_argnums=(1, 2))
window_sums = jax.jit(integral.window_sums, static_argnums=(1, 2))
box_sums = jax.jit(integral.box_sums)


def test_integral_images_and_sums_of_boxes_are_those_of_scikit_image() -> None:
    image = photograph("coffee")
    expected = np.stack([integral_image(image[..., c].astype(float)) for c in range(3)], axis=-1)
    summed = jax.jit(integral.integral_image)(image[None])
    np.testing.assert_allclose(summed[0], expected, rtol=1e-5)
    height, width = image.shape[:2]
    windows = np.array([[0, 0, 0, 0], [3, 5, 20, 40], [0, 7, height - 1, width - 1], [height - 1, width - 1, height - 1, width - 1]])
    boxes = (windows[:, [1, 0, 3, 2]] + [0, 0, 1, 1]) / [width, height, width, height]
    sums = box_sums(summed, boxes[None].astype(np.float32))
    for channel in range(3):
        oracle = integrate(expected[..., channel], windows[:, :2], windows[:, 2:])
        np.testing.assert_allclose(sums[0, :, channel], oracle, rtol=1e-5, atol=1e-5 * expected[..., channel].max())


def test_a_box_with_edges_inside_pixels_covers_shares_of_them() -> None:
    image = np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1)
    boxes = jnp.array([[[0.125, 1 / 6, 0.625, 0.5], [-1, -1, 2, 2], [0.5, 0.5, 0.5, 0.9]]], jnp.float32)
    # Rows 0 and 1 by half and half; columns 0 by half, 1, and 2 by half.
    shares = np.outer([0.5, 0.5, 0], [0.5, 1, 0.5, 0])
    summed = integral.integral_image(image)
    sums = box_sums(summed, boxes)[0, :, 0]
    np.testing.assert_allclose(sums, [np.sum(shares * image[0, :, :, 0]), image.sum(), 0], rtol=1e-5, atol=1e-5)
    inner = boxes[:, :1]
    check_grads(lambda box: box_sums(summed, box), (inner,), order=1, modes=["rev"], atol=0.05, rtol=0.05)


@pytest.mark.parametrize("size", [(1, 1), (7, 6), (65, 72)])
def test_moments_of_windows_are_those_of_numpy_also_at_low_contrast(size: tuple[int, int]) -> None:
    image = batch(photograph("camera")) * np.float32(0.01) + np.float32(0.75)
    # A difference of the mean square and the squared mean would be off by a tenth.
    windows = np.lib.stride_tricks.sliding_window_view(image[0, :, :, 0].astype(float), size)
    mean, scatter = window_moments(image, *size)
    np.testing.assert_allclose(mean[0, :, :, 0], windows.mean(axis=(2, 3)), rtol=1e-6)
    expected = ((windows - windows.mean(axis=(2, 3), keepdims=True)) ** 2).sum(axis=(2, 3))
    np.testing.assert_allclose(scatter[0, :, :, 0], expected, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(window_sums(image, *size)[0, :, :, 0], windows.sum(axis=(2, 3)), rtol=1e-6)


def test_a_constant_image_has_no_scatter() -> None:
    constant = np.full((1, 9, 9, 1), 0.3, np.float32)
    np.testing.assert_array_equal(window_moments(constant, 7, 5).scatter, 0)


def test_wrong_windows_and_boxes_are_refused() -> None:
    images = np.zeros((1, 4, 5, 1), np.float32)
    assert_refused(lambda: integral.window_sums(images, 5, 1), "4 x 5", "got 5 x 1")
    assert_refused(lambda: integral.window_moments(images, 0, 1), "got 0 x 1")
    assert_refused(lambda: integral.box_sums(images, np.zeros((1, 4), np.float32)), "(1, n, 4)")
