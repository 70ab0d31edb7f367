"""Gabor kernels and filters against scikit-image."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
import skimage.filters
from skimage import util

from imgloc.image.gabor import gabor, gabor_kernel
from tests.image.photographs import batch, pixels, single
from tests.refusals import assert_refused

CASES: list[dict[str, Any]] = [
    {"frequency": 0.4, "theta": 0.7},
    {"frequency": 0.15, "theta": 2.0, "bandwidth": 1.5, "offset": 0.6},
    {"frequency": 0.3, "theta": np.pi / 2, "sigma_x": 1.0, "sigma_y": 2.5},
]


@pytest.mark.parametrize("options", CASES)
def test_kernels_and_responses_are_those_of_scikit_image(options: dict[str, Any]) -> None:
    kernel = skimage.filters.gabor_kernel(**options, n_stds=2)
    np.testing.assert_allclose(gabor_kernel(**options, truncate=2), (kernel.real, kernel.imag), atol=1e-12)
    image = util.img_as_float(pixels("camera", 30, 23))
    expected = skimage.filters.gabor(image, **options, mode="mirror")
    result = jax.jit(lambda x: gabor(x, **options, border="mirror"))(batch(image))
    for ours, theirs in zip(result, expected, strict=True):
        np.testing.assert_allclose(single(ours), theirs, atol=1e-5)


def test_wrong_options_are_refused() -> None:
    assert_refused(lambda: gabor_kernel(0), "gabor.frequency must be greater than 0, got 0")
    assert_refused(lambda: gabor_kernel(0.2, bandwidth=-1), "gabor.bandwidth must be greater than 0, got -1")
    assert_refused(lambda: gabor_kernel(0.2, sigma_x=0), "gabor.sigma_x and gabor.sigma_y must be greater than 0, got 0 and None")
