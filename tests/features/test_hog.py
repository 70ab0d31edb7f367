"""HOG against scikit-image's."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
import skimage.feature

from imgloc.features import hog
from tests.image.photographs import photograph
from tests.refusals import assert_refused

CASES: list[dict[str, Any]] = [
    {},
    {"orientations": 8, "pixels_per_cell": (6, 5), "cells_per_block": (2, 1), "block_norm": "L1"},
    {"orientations": 12, "pixels_per_cell": (4, 8), "cells_per_block": (1, 2), "block_norm": "L1-sqrt", "transform_sqrt": True},
    {"orientations": 1, "pixels_per_cell": (16, 16), "cells_per_block": (1, 1), "block_norm": "L2"},
]


@pytest.mark.parametrize(("options", "channels"), list(zip(CASES, (3, 1, 3, 1), strict=True)))
def test_descriptors_are_those_of_scikit_image(options: dict[str, Any], channels: int) -> None:
    noise = np.random.default_rng(0).uniform(size=(2, 40, 44, channels)).astype(np.float32)
    blocks = np.asarray(hog.hog_blocks(noise, **options))
    flat = np.asarray(hog.hog(noise, **options))
    for i, image in enumerate(noise):
        expected = skimage.feature.hog(image if channels == 3 else image[..., 0], feature_vector=False,
                                       channel_axis=-1 if channels == 3 else None, **options)  # fmt: skip
        np.testing.assert_allclose(blocks[i], expected, atol=1e-5)
        np.testing.assert_array_equal(flat[i], blocks[i].ravel())


@pytest.mark.parametrize("options", CASES)
def test_gray_photographs_agree_to_the_pixel_also_where_gradients_are_diagonal(options: dict[str, Any]) -> None:
    # Of 8-bit images, many gradients lie on a border between two orientations.
    image = photograph("chelsea", 61, 52)[..., 1]
    expected = skimage.feature.hog(image, feature_vector=False, **options)
    np.testing.assert_allclose(hog.hog_blocks(image[None, :, :, None], **options)[0], expected, atol=1e-5)


def test_color_photographs_agree_but_for_channels_that_tie() -> None:
    # Two channels may have gradients of the same length up to the last bit; then either direction may be counted.
    image = photograph("chelsea", 61, 52)
    expected = skimage.feature.hog(image, feature_vector=False, channel_axis=-1)
    assert np.mean(np.abs(np.asarray(hog.hog_blocks(image[None])[0]) - expected) > 1e-5) < 0.05


def test_the_picture_is_that_of_scikit_image() -> None:
    image = photograph("chelsea", 61, 52)[..., 0]
    _, expected = skimage.feature.hog(image, pixels_per_cell=(12, 10), visualize=True)
    cells = np.asarray(hog.hog_cells(image[None, :, :, None], pixels_per_cell=(12, 10))[0])
    np.testing.assert_allclose(hog.hog_picture(cells, *image.shape, (12, 10)), expected, atol=1e-5)


def test_gradients_are_finite_also_where_an_image_is_flat() -> None:
    images = np.zeros((1, 24, 24, 3), np.float32)
    images[:, 8:] = photograph("chelsea", 16, 24)

    def total(x: jax.Array, norm: hog.BlockNorm) -> jax.Array:
        return hog.hog(x, cells_per_block=(2, 2), block_norm=norm).sum()

    for norm in ("L1-sqrt", "L2-Hys"):
        slope = np.asarray(jax.grad(total)(images, norm))
        assert np.isfinite(slope).all()
        assert np.abs(slope).max() > 0


def test_vmap_and_batches_agree() -> None:
    images = np.stack([photograph("chelsea", 16, 24), photograph("chelsea", 16, 24)[::-1]])
    each = jax.vmap(lambda image: hog.hog_cells(image[None])[0])(images)
    np.testing.assert_allclose(each, hog.hog_cells(images), atol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    images = np.zeros((1, 16, 16, 1), np.float32)
    assert_refused(lambda: hog.hog(images), "blocks of 3 x 3 cells do not fit into a grid of 2 x 2 cells")
    assert_refused(lambda: hog.hog_cells(images[:, :4]), "holds no cell of 8 x 8")
    assert_refused(lambda: hog.hog_cells(images, orientations=0), "at least 1, got 0")
    assert_refused(lambda: hog.hog_blocks(images, cells_per_block=(1, 1), block_norm="L2-hys"), "unknown block_norm")  # type: ignore[arg-type]
