"""Conversions of images against scikit-image."""

from __future__ import annotations

import cv2
import jax
import ml_dtypes
import numpy as np
import pytest
from skimage import color, util

from imgloc.image.luma import BT601
from imgloc.image.scale import as_float, as_gray, single_channel
from tests.image.photographs import batch, pixels, single
from tests.refusals import assert_refused


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_integers_have_the_bits_of_scikit_image(dtype: type) -> None:
    limits = np.iinfo(dtype)
    image = np.arange(limits.min, limits.max + 1).astype(dtype).reshape(2, -1)
    floats = as_float(batch(image))
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(single(floats), util.img_as_float32(image))
    with jax.enable_x64(True):
        np.testing.assert_array_equal(single(as_float(batch(image))), util.img_as_float64(image))


@pytest.mark.parametrize("dtype", [np.uint32, np.int32])
def test_integers_of_32_bits_are_scaled(dtype: type) -> None:
    limits = np.iinfo(dtype)
    image = np.array([[limits.min, limits.min + 1, 0, 1 << 20, limits.max]], dtype)
    np.testing.assert_allclose(single(as_float(batch(image))), util.img_as_float(image), rtol=1e-6)


def test_floats_keep_their_values_and_have_at_least_32_bits() -> None:
    image = np.array([[[[-2.0], [0.5], [300.0]]]])
    for dtype in (np.float16, ml_dtypes.bfloat16, np.float32):
        floats = as_float(image.astype(dtype))
        assert floats.dtype == np.float32
        np.testing.assert_array_equal(floats, image)
    with jax.enable_x64(True):
        assert as_float(image).dtype == np.float64


def test_booleans_are_0_and_1() -> None:
    np.testing.assert_array_equal(single(as_float(np.array([[[[False], [True]]]]))), [[0, 1]])


def test_other_types_and_shapes_are_refused() -> None:
    assert_refused(lambda: as_float(np.zeros((1, 2, 2, 1), np.int64)), "integers of at most 32 bits, got int64; convert them first")
    assert_refused(lambda: as_float(np.zeros((1, 2, 2, 1), np.complex64)), "got complex64")
    assert_refused(lambda: as_float(np.zeros((2, 2), np.uint8)), "images must have the axes (b, h, w, c), got the shape (2, 2)")


def test_another_number_of_channels_than_expected_is_refused() -> None:
    assert as_float(np.zeros((1, 2, 2, 3), np.uint8), channels=3).shape == (1, 2, 2, 3)
    assert_refused(lambda: as_float(np.zeros((1, 2, 2, 4), np.float32), channels=3), "images must have 3 channels, got 4")
    assert_refused(lambda: as_float(np.zeros((1, 2, 2, 2), np.uint8), channels=1), "images must have 1 channel, got 2")


def test_gray_levels_are_those_of_scikit_image_and_opencv() -> None:
    image = pixels("chelsea")
    np.testing.assert_allclose(single(as_gray(batch(image))), color.rgb2gray(image), atol=1e-6)
    luma = cv2.cvtColor(util.img_as_float32(image), cv2.COLOR_RGB2GRAY)
    np.testing.assert_allclose(single(as_gray(batch(image), BT601)), luma, atol=1e-6)
    np.testing.assert_array_equal(as_gray(batch(image[..., 0])), as_float(batch(image[..., 0])))


def test_other_numbers_of_channels_are_refused() -> None:
    assert_refused(lambda: as_gray(np.zeros((1, 2, 2, 4))), "images must have 1 or 3 channels, got 4; leave an alpha channel out")
    assert_refused(lambda: single_channel("canny", np.zeros((1, 2, 2, 3))), "canny expects images of one channel, got 3; convert")
