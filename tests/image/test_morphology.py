"""Morphology against scikit-image and SciPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import skimage.morphology
from jax.test_util import check_grads

from imgloc.image import morphology
from imgloc.types import BoolArray, FloatArray
from tests.image.photographs import photograph
from tests.refusals import assert_refused

FOOTPRINTS = {
    "default": None,
    "square": morphology.square(4),
    "disk": morphology.disk(3),
    "cross": morphology.cross(2),
    "asymmetric": np.array([[0, 1, 1], [0, 0, 1]]),
    "holes": np.random.default_rng(0).uniform(size=(4, 5)) < 0.5,
}
OPERATIONS = ("erosion", "dilation", "opening", "closing", "white_tophat", "black_tophat")
GRAY = photograph("camera")[:27, :34]


def test_footprints_are_those_of_scikit_image() -> None:
    np.testing.assert_array_equal(morphology.square(4), skimage.morphology.footprint_rectangle((4, 4)))
    np.testing.assert_array_equal(morphology.disk(5), skimage.morphology.disk(5))
    np.testing.assert_array_equal(morphology.cross(1), skimage.morphology.diamond(1))


def results(images: FloatArray | BoolArray, ones: morphology.Footprint | None, border: str) -> dict[str, jax.Array]:
    """What all operations return for a gray and a binary batch, compiled together."""

    def compute(images: jax.Array) -> dict[str, jax.Array]:
        return {name: getattr(morphology, name)(images, ones, border=border) for name in OPERATIONS}

    found: dict[str, jax.Array] = jax.jit(compute)(images)
    return found


@pytest.mark.parametrize("footprint", FOOTPRINTS)
@pytest.mark.parametrize("binary", [False, True])
def test_gray_and_binary_images_have_the_values_of_scikit_image(binary: bool, footprint: str) -> None:
    ones, image = FOOTPRINTS[footprint], GRAY > 0.5 if binary else GRAY
    for border in morphology.BORDERS if footprint == "asymmetric" else ("reflect",):
        for operation, found in results(image[None, :, :, None], ones, border).items():
            assert found.dtype == image.dtype
            expected = getattr(skimage.morphology, operation)(image, None if ones is None else ones.astype(np.uint8), mode=border)
            np.testing.assert_array_equal(found[0, :, :, 0], expected, err_msg=f"{operation} {border}")


@pytest.mark.parametrize("shape", [(1, 1), (2, 5)])
def test_images_smaller_than_the_footprint(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).uniform(size=shape).astype(np.float32)
    for operation, found in results(image[None, :, :, None], morphology.disk(3), "reflect").items():
        np.testing.assert_array_equal(found[0, :, :, 0], getattr(skimage.morphology, operation)(image, skimage.morphology.disk(3)))


def test_channels_and_images_of_a_batch_are_treated_alone() -> None:
    images = np.stack([photograph("coffee")[:20, :20], photograph("coffee")[20:40, :20]])
    dilated = jax.jit(lambda x: morphology.dilation(x, morphology.disk(2)))(images)
    for b in range(2):
        for c in range(3):
            np.testing.assert_array_equal(dilated[b, ..., c], skimage.morphology.dilation(images[b, ..., c], skimage.morphology.disk(2)))


def test_the_gradient_is_that_of_scipy() -> None:
    found = morphology.gradient(GRAY[None, :, :, None], morphology.disk(2))[0, :, :, 0]
    np.testing.assert_array_equal(found, scipy.ndimage.morphological_gradient(GRAY, footprint=morphology.disk(2)))


@pytest.mark.parametrize("connectivity", [1, 2])
def test_reconstruction_is_that_of_scikit_image(connectivity: int) -> None:
    random = np.random.default_rng(2)
    footprint = skimage.morphology.diamond(1) if connectivity == 1 else np.ones((3, 3))
    reconstruct = jax.jit(lambda s, m: morphology.reconstruction(s, m, connectivity=connectivity))
    for mask in (GRAY, (random.uniform(size=GRAY.shape) < 0.6).astype(np.float32)):
        seed = np.where(random.uniform(size=GRAY.shape) < 0.05, mask, 0).astype(np.float32)
        expected = skimage.morphology.reconstruction(seed, mask, footprint=footprint)
        assert np.any(expected != seed)
        np.testing.assert_array_equal(reconstruct(seed[None, :, :, None], mask[None, :, :, None])[0, :, :, 0], expected)


def test_the_slopes_of_an_opening_are_those_of_finite_differences() -> None:
    images = jnp.asarray(np.random.default_rng(3).permutation(30).reshape(1, 5, 6, 1) / 30, jnp.float32)
    check_grads(jax.jit(morphology.opening), (images,), order=1, modes=["rev"], atol=0.02, rtol=0.02, eps=1e-3)


def test_wrong_options_are_refused() -> None:
    images = np.zeros((1, 3, 3, 1), np.float32)
    assert_refused(lambda: morphology.erosion(images, border="reflct"), "unknown border 'reflct'")  # type: ignore[arg-type]
    assert_refused(lambda: morphology.dilation(images, np.zeros((3, 3))), "at least one pixel")
    assert_refused(lambda: morphology.dilation(images, np.ones(3)), "two axes")
    assert_refused(lambda: morphology.dilation(np.zeros((3, 3), bool)), "(b, h, w, c)")
    assert_refused(lambda: morphology.disk(0), "radius of a footprint must be at least 1")
    assert_refused(lambda: morphology.reconstruction(images, images, connectivity=4), "connectivity must be 1 or 2")
    assert_refused(lambda: morphology.reconstruction(images, images[:, :2]), "one shape")
