"""Pyramids against scikit-image."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
import pytest
import skimage.transform

from imgloc.image import pyramids
from tests.image.photographs import photograph
from tests.refusals import assert_refused


@pytest.mark.parametrize("options", [{}, {"downscale": 1.5, "sigma": 0.7, "max_layer": 3}, {"border": "nearest"}])
@pytest.mark.parametrize("kind", ["gaussian", "laplacian"])
def test_layers_are_those_of_scikit_image(kind: str, options: dict[str, Any]) -> None:
    image = photograph("coffee")
    layers = jax.jit(partial(getattr(pyramids, f"{kind}_pyramid"), **options))(image[None])
    theirs = {("mode" if name == "border" else name): value for name, value in options.items()}
    if kind == "laplacian" and "mode" in theirs:
        pytest.skip("scikit-image passes one name to SciPy and to resize, which knows it as edge")
    if "mode" in theirs:
        expected = [image.astype(float)]
        for _ in layers[1:]:
            smooth = skimage.filters.gaussian(expected[-1], 2 / 3, mode="nearest", channel_axis=-1)
            half = [-(-side // 2) for side in smooth.shape[:2]]
            expected.append(skimage.transform.resize(smooth, half, order=1, mode="edge", anti_aliasing=False))
    else:
        expected = list(getattr(skimage.transform, f"pyramid_{kind}")(image.astype(float), channel_axis=-1, **theirs))
    assert len(layers) == len(expected)
    for layer, one in zip(layers, expected, strict=True):
        np.testing.assert_allclose(layer[0], one, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 5)])
def test_tiny_images(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    for kind in ("gaussian", "laplacian"):
        layers = jax.jit(getattr(pyramids, f"{kind}_pyramid"))(image[None, :, :, None])
        expected = list(getattr(skimage.transform, f"pyramid_{kind}")(image.astype(float)))
        assert len(layers) == len(expected)
        for layer, one in zip(layers, expected, strict=True):
            np.testing.assert_allclose(layer[0, :, :, 0], one, atol=1e-5)


def test_wrong_options_are_refused() -> None:
    images = np.zeros((1, 3, 3, 1), np.float32)
    for pyramid in (pyramids.gaussian_pyramid, pyramids.laplacian_pyramid):
        assert_refused(lambda pyramid=pyramid: pyramid(images, downscale=1), "downscale must be greater than 1, got 1")  # type: ignore[misc]
        assert_refused(lambda pyramid=pyramid: pyramid(images, -1), "max_layer must be at least 0, got -1")  # type: ignore[misc]
        assert_refused(lambda pyramid=pyramid: pyramid(images, sigma=-1), "sigma must be at least 0")  # type: ignore[misc]
        assert_refused(lambda pyramid=pyramid: pyramid(images, border="constant"), "unknown border")  # type: ignore[misc]
