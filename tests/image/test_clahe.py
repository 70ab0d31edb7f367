"""CLAHE against scikit-image."""

from __future__ import annotations

import warnings

import jax
import numpy as np
import pytest
import skimage.exposure

from imgloc.image.clahe import clahe
from imgloc.types import FloatArray
from tests.image.photographs import batch, photograph
from tests.refusals import assert_refused

compiled = jax.jit(clahe, static_argnames=("tile", "clip_limit", "bins"))


@pytest.mark.parametrize(
    ("tile", "clip_limit", "bins"),
    [(None, 0.01, 256), (7, 0.01, 256), ((9, 20), 0.03, 100), (40, 0.0, 256)],
)
def test_equalized_images_are_those_of_scikit_image(tile: int | tuple[int, int] | None, clip_limit: float, bins: int) -> None:
    image = batch(photograph("camera"))
    expected = skimage.exposure.equalize_adapthist(image[0, :, :, 0], kernel_size=tile, clip_limit=clip_limit, nbins=bins)
    # One step of the 16,384 gray levels is 6e-5.
    np.testing.assert_allclose(compiled(image, tile=tile, clip_limit=clip_limit, bins=bins)[0, :, :, 0], expected, atol=1e-5)


def test_the_value_of_color_images_is_equalized_in_a_batch() -> None:
    images = np.stack([photograph("astronaut"), photograph("astronaut")[::-1] * 0.7])
    equalized = compiled(images)
    for image, one in zip(images, equalized, strict=True):
        np.testing.assert_allclose(one, skimage.exposure.equalize_adapthist(image), atol=1e-5)


@pytest.mark.parametrize("image", [np.full((1, 1), 0.25), np.full((5, 9), 0.5), np.linspace(0, 1, 12).reshape(3, 4)])
def test_constant_and_tiny_images(image: FloatArray) -> None:
    image = image.astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = skimage.exposure.equalize_adapthist(image)
    np.testing.assert_allclose(compiled(image[None, :, :, None])[0, :, :, 0], expected, atol=1e-5)


def test_wrong_options_are_refused() -> None:
    images = np.zeros((1, 8, 8, 1), np.float32)
    assert_refused(lambda: clahe(np.zeros((1, 8, 8, 2), np.float32)), "1 or 3 channels, got 2")
    assert_refused(lambda: clahe(images, tile=0), "clahe.tile", "got 0 x 0")
    assert_refused(lambda: clahe(images, tile=(512, 512)), "131072", "512 x 512")
    assert_refused(lambda: clahe(images, bins=1), "clahe.bins")
    assert_refused(lambda: clahe(images, clip_limit=2), "clahe.clip_limit")
