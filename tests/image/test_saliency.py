"""The spectral residual against NumPy and SciPy, in double precision, from the formulas of the paper."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import skimage.transform
from jax.test_util import check_grads

from imgloc.image import saliency
from imgloc.types import FloatArray
from tests.image.photographs import batch, photograph
from tests.refusals import assert_refused


def oracle(image: FloatArray, size: int, sigma: float) -> FloatArray:
    """S = g * |F^-1[exp(L - h * L + iP)]|^2 (equations 6 to 9)."""
    height, width = image.shape[:2]
    gray = image.astype(float) @ [0.299, 0.587, 0.114] if image.ndim == 3 else image.astype(float)
    small = skimage.transform.resize(gray, (round(height * size / width), size), order=1, anti_aliasing=True)
    spectrum = np.fft.fft2(small)
    log_amplitude, phase = np.log(np.abs(spectrum)), np.angle(spectrum)
    residual = log_amplitude - scipy.ndimage.uniform_filter(log_amplitude, 3, mode="nearest")
    raw = np.abs(np.fft.ifft2(np.exp(residual + 1j * phase))) ** 2
    smooth = scipy.ndimage.gaussian_filter(raw, sigma, mode="nearest")
    whole: FloatArray = skimage.transform.resize(smooth, (height, width), order=1, anti_aliasing=False)
    return whole / whole.max()


@pytest.mark.parametrize(("size", "sigma"), [(64, 2.5), (48, 8.0)])
@pytest.mark.parametrize("name", ["coffee", "camera"])
def test_saliency_is_that_of_the_formulas(name: str, size: int, sigma: float) -> None:
    image = photograph(name)
    found = jax.jit(lambda x: saliency.spectral_residual(x, size=size, sigma=sigma))(image.reshape(1, *image.shape[:2], -1))
    assert found.shape == (1, *image.shape[:2])
    np.testing.assert_allclose(found[0], oracle(image, size, sigma), atol=1e-5)


def test_a_patch_on_a_texture_is_salient() -> None:
    y, x = np.mgrid[:64, :64]
    image = (0.5 + 0.2 * np.sin(2 * np.pi * 9 * y / 64) * np.sin(2 * np.pi * 11 * x / 64)).astype(np.float32)
    image[40:48, 10:18] = 0.9
    row, column = np.unravel_index(np.argmax(jax.jit(saliency.spectral_residual)(image[None, :, :, None])[0]), image.shape)
    assert 38 <= row < 50
    assert 8 <= column < 20


@pytest.mark.parametrize("shape", [(1, 1), (30, 41)])
def test_constant_images_give_finite_numbers(shape: tuple[int, int]) -> None:
    images = jnp.full((1, *shape, 1), 0.3)
    for values in jax.jit(jax.value_and_grad(lambda x: saliency.spectral_residual(x).mean()))(images):
        assert np.all(np.isfinite(values))


def test_gradients_are_those_of_finite_differences() -> None:
    images = jnp.asarray(batch(photograph("camera"))[:, 20:28, 20:28])

    def mean(x: jax.Array) -> jax.Array:
        return saliency.spectral_residual(x, size=8, sigma=1).mean()

    check_grads(jax.jit(mean), (images,), order=1, modes=["rev"], atol=0.05, rtol=0.05, eps=1e-3)


def test_wrong_options_are_refused() -> None:
    images = np.zeros((1, 3, 3, 1), np.float32)
    assert_refused(lambda: saliency.spectral_residual(images[..., [0, 0]]), "1 or 3 channels, got 2")
    assert_refused(lambda: saliency.spectral_residual(images, size=2), "size must be at least 3, got 2")
    assert_refused(lambda: saliency.spectral_residual(images, sigma=-1), "sigma must be at least 0")
