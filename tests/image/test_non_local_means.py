"""Non-local means against scikit-image, through a computation of the definition with either exponential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from jax.test_util import check_grads
from skimage import restoration, util

from imgloc.image.non_local_means import non_local_means
from imgloc.types import FloatArray
from tests.image.photographs import batch, pixels, single
from tests.refusals import assert_refused


def approximate_exponential(x: float) -> float:
    """The one of scikit-image: the upper 32 bits of a double are a linear function of x (Schraudolph 1999, least squared error)."""
    upper = int(x * 2**20 / np.log(2) + 1023 * 2**20 - 60801)
    return float(np.array([upper << 32]).view(np.float64)[0])


def by_pairs(image: FloatArray, size: int, reach: int, h: float, sigma: float, exponential: Callable[[float], float]) -> FloatArray:
    """Means over all pixels in reach with the weights of their patches, pair by pair, (h, w, c)."""
    height, width, channels = image.shape
    half = size // 2
    padded = np.pad(image, ((half, half), (half, half), (0, 0)), mode="reflect")
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    weights = np.exp(-(y**2 + x**2) / (2 * ((size - 1) / 4) ** 2))
    weights /= weights.sum() * channels * h**2
    patch = {(i, j): padded[i : i + size, j : j + size] for i in range(height) for j in range(width)}
    result = np.zeros_like(image)
    for (i, j), own in patch.items():
        total = 0.0
        for (k, m), other in patch.items():
            if max(abs(i - k), abs(j - m)) <= reach:
                rows = np.cumsum((weights[..., None] * ((own - other) ** 2 - 2 * sigma**2)).sum(axis=(1, 2)))
                weight = 0.0 if rows[:-1].max() > 5 else exponential(-max(rows[-1], 0))
                total += weight
                result[i, j] += weight * image[k, m]
        result[i, j] /= total
    return result


@pytest.mark.parametrize("options", [{"patch_size": 5, "h": 0.1}, {"patch_size": 3, "h": 0.06, "sigma": 0.05}])
@pytest.mark.parametrize("kind", ["gray", "color"])
def test_the_result_is_that_of_scikit_image_with_an_exact_exponential(kind: str, options: dict[str, Any]) -> None:
    image = util.img_as_float(pixels("camera", 13, 11)[..., None] if kind == "gray" else pixels("chelsea", 11, 12))
    arguments = options["patch_size"], 3, options["h"], options.get("sigma", 0.0)
    squeezed, channel_axis = (image[..., 0], None) if kind == "gray" else (image, 2)
    theirs = restoration.denoise_nl_means(squeezed, patch_distance=3, fast_mode=False, channel_axis=channel_axis, **options)
    theirs = theirs.reshape(image.shape)
    np.testing.assert_allclose(by_pairs(image, *arguments, approximate_exponential), theirs, atol=1e-5)
    result = single(jax.jit(lambda x: non_local_means(x, patch_distance=3, **options))(batch(image)))
    np.testing.assert_allclose(result.reshape(image.shape), by_pairs(image, *arguments, lambda x: float(np.exp(x))), atol=1e-5)
    np.testing.assert_allclose(result.reshape(image.shape), theirs, atol=1e-2)


def test_gradients_are_those_of_finite_differences() -> None:
    with jax.enable_x64(True):
        # h is large enough for no distance to reach the limit at which a weight jumps to 0.
        denoised = jax.jit(lambda x, h: non_local_means(x, patch_size=3, patch_distance=2, h=h))
        check_grads(denoised, (batch(util.img_as_float(pixels("camera", 4, 5))), 1.0), order=1, modes=["rev"], eps=1e-6)


def test_wrong_options_are_refused() -> None:
    images = np.zeros((1, 4, 5, 1))
    assert_refused(lambda: non_local_means(images, patch_size=4), "non_local_means.patch_size must be an odd integer of at least 1, got 4")
    assert_refused(lambda: non_local_means(images, patch_size=1), "non_local_means.patch_size must be at least 3, got 1")
    assert_refused(
        lambda: non_local_means(images, patch_distance=0), "non_local_means.patch_distance must be an integer of at least 1, got 0"
    )
    assert_refused(lambda: non_local_means(images, h=0), "non_local_means.h must be greater than 0, got 0")
    assert_refused(lambda: non_local_means(images, sigma=-1), "non_local_means.sigma must be at least 0, got -1")
