"""The structure tensor and Harris' corner response against scikit-image."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.feature
from jax.test_util import check_grads
from skimage import util

from imgloc.image.structure_tensor import eigenvalues, harris, structure_tensor
from tests.image.photographs import batch, pixels, single
from tests.refusals import assert_refused

IMAGE = util.img_as_float(pixels("camera", 31, 26))


@pytest.mark.parametrize("border", ["constant", "nearest"])
def test_entries_and_eigenvalues_are_those_of_scikit_image(border: str) -> None:
    entries = jax.jit(lambda x: structure_tensor(x, 1.5, border=border, value=0.3))(batch(IMAGE))  # type: ignore[arg-type]
    expected = skimage.feature.structure_tensor(IMAGE, 1.5, mode=border, cval=0.3, order="rc")
    for ours, theirs in zip(entries, expected, strict=True):
        np.testing.assert_allclose(single(ours), theirs, atol=1e-5)
    for ours, theirs in zip(eigenvalues(*entries), skimage.feature.structure_tensor_eigenvalues(expected), strict=True):
        np.testing.assert_allclose(single(ours), theirs, atol=1e-5)


@pytest.mark.parametrize("k", [0.05, 0.2])
def test_the_response_is_that_of_scikit_image(k: float) -> None:
    result = jax.jit(lambda x: harris(x, 1.2, k=k))(batch(IMAGE))
    # The determinants of photographs reach 100, so the tolerance is relative to them.
    expected = skimage.feature.corner_harris(IMAGE, k=k, sigma=1.2)
    np.testing.assert_allclose(single(result), expected, atol=1e-5 * max(1, np.abs(expected).max()))


def test_corners_are_positive_and_edges_negative() -> None:
    square = np.zeros((16, 16), np.float32)
    square[5:11, 5:11] = 1
    response = single(jax.jit(harris)(batch(square)))
    assert response[5, 5] > 1
    assert response[5, 8] < 0
    assert abs(response[0, 0]) < 1e-9


def test_gradients_are_those_of_finite_differences_and_finite_where_eigenvalues_are_equal() -> None:
    with jax.enable_x64(True):
        image = jnp.asarray(batch(IMAGE[:5, :4]))
        check_grads(jax.jit(lambda x: (harris(x), *eigenvalues(*structure_tensor(x)))), (image,), order=1, modes=["rev"], eps=1e-6)
    one = jnp.ones(1)
    gradient = jax.grad(lambda yy, yx, xx: eigenvalues(yy, yx, xx)[0].sum(), argnums=(0, 1, 2))(one, 0 * one, one)
    np.testing.assert_array_equal(gradient, [[0.5], [0], [0.5]])


def test_images_of_several_channels_are_refused() -> None:
    assert_refused(
        lambda: harris(np.zeros((1, 4, 4, 3))), "structure_tensor expects images of one channel, got 3; convert them with as_gray"
    )
