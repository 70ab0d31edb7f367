"""Co-occurrence matrices and their properties against scikit-image's."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.feature

from imgloc.features import glcm
from tests.refusals import assert_refused

DISTANCES = (1, 3, 2.5)
ANGLES = (0, math.pi / 4, math.pi / 2, 3 * math.pi / 4, -math.pi / 3)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("normed", [False, True])
def test_matrices_are_those_of_scikit_image(symmetric: bool, normed: bool) -> None:
    images = np.random.default_rng(0).integers(0, 6, (2, 9, 11, 2), np.uint8)
    matrices = np.asarray(glcm.cooccurrence_matrices(images, DISTANCES, ANGLES, levels=6, symmetric=symmetric, normed=normed))
    for i, channel in np.ndindex(2, 2):
        expected = skimage.feature.graycomatrix(images[i, :, :, channel], DISTANCES, ANGLES, 6, symmetric, normed)
        np.testing.assert_allclose(matrices[i, channel], expected, atol=1e-6)


def test_distances_beyond_the_image_and_other_values_count_nothing() -> None:
    images = np.array([[0, 1], [7, -1]])[None, :, :, None]
    matrices = np.asarray(glcm.cooccurrence_matrices(images, (1, 5), (0.0,), levels=2))
    assert matrices[0, 0, :, :, 0, 0].tolist() == [[0, 1], [0, 0]]
    assert not matrices[..., 1, :].any()


@pytest.mark.parametrize("name", sorted(glcm.PROPERTIES))
def test_properties_are_those_of_scikit_image(name: str) -> None:
    images = np.random.default_rng(1).integers(0, 9, (1, 12, 10, 2), np.uint8)
    images[..., 1] = 3  # a flat channel: its correlation is 1
    matrices = glcm.cooccurrence_matrices(images, (1, 2), (0.0, 1.0), levels=9)
    values = np.asarray(glcm.property_of(matrices, name))
    for channel in range(2):
        expected = skimage.feature.graycoprops(np.asarray(matrices[0, channel]), name)
        np.testing.assert_allclose(values[0, channel], expected, rtol=1e-5, atol=1e-5)


def test_properties_have_gradients() -> None:
    matrices = np.random.default_rng(2).uniform(size=(1, 1, 4, 4, 1, 1)).astype(np.float32)
    matrices[0, 0, 0] = 0
    slopes = jax.jit(jax.jacrev(lambda p: jnp.stack([glcm.property_of(p, name).sum() for name in sorted(glcm.PROPERTIES)])))(matrices)
    assert np.isfinite(np.asarray(slopes)).all()
    assert (np.abs(np.asarray(slopes)).max(axis=(1, 2, 3, 4, 5, 6)) > 0).all()


def test_pixels_are_quantized_to_equal_parts() -> None:
    assert glcm.quantize(np.array([-0.1, 0, 0.24, 0.25, 0.99, 1, 2])[None, :, None, None], 4).ravel().tolist() == [0, 0, 0, 1, 3, 3, 3]


def test_mistakes_are_refused() -> None:
    images = np.zeros((1, 4, 4, 1), np.int32)
    assert_refused(lambda: glcm.cooccurrence_matrices(images, levels=0), "levels of co-occurrence matrices must be at least 1, got 0")
    assert_refused(lambda: glcm.property_of(np.zeros((1, 1, 2, 2, 1, 1)), "contrst"), "did you mean 'contrast'?")  # misspelled
