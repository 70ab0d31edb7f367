"""Resizing against scikit-image."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.transform
from jax.test_util import check_grads

from imgloc.image import resample
from tests.image.photographs import photograph
from tests.refusals import assert_refused

#: The borders here, and their names in scikit-image.
BORDERS = {"mirror": "reflect", "reflect": "symmetric", "nearest": "edge", "wrap": "wrap"}
SIZES = [(31, 71), (100, 90), (20, 17), (1, 1), (63, 71)]

resize = jax.jit(resample.resize, static_argnums=(1, 2), static_argnames=("order", "antialias", "border", "clip"))


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("antialias", [True, False])
def test_resized_images_are_those_of_scikit_image(order: int, antialias: bool, border: str) -> None:
    image = photograph("coffee")
    options: Any = {"order": order, "border": border, "antialias": antialias}
    theirs = {"order": order, "mode": BORDERS[border], "anti_aliasing": antialias}
    for height, width in SIZES if border == "mirror" else SIZES[2:3]:
        if (order, border) == (3, "nearest"):
            continue  # refused
        if (order, border) == (3, "reflect"):
            # scikit-image also filters along the channels, where SciPy is off by 1e-4 with this border.
            found = resize(image[None, ..., 1:2], height, width, **options)[0, ..., 0]
            oracle = skimage.transform.resize(image[..., 1].astype(float), (height, width), **theirs)
        else:
            found = resize(image[None], height, width, **options)[0]
            oracle = skimage.transform.resize(image.astype(float), (height, width), **theirs)
        np.testing.assert_allclose(found, oracle, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (5, 2)])
def test_tiny_and_constant_images(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    for order in (0, 1, 3):
        oracle = skimage.transform.resize(image.astype(float), (7, 3), order=order)
        np.testing.assert_allclose(resize(image[None, :, :, None], 7, 3, order=order)[0, :, :, 0], oracle, atol=1e-5)
        constant = np.full((1, *shape, 1), 0.3, np.float32)
        np.testing.assert_allclose(resize(constant, 7, 3, order=order), 0.3, atol=1e-6)


def test_a_cubic_spline_passes_through_the_pixels_and_may_exceed_them() -> None:
    image = np.zeros((1, 9, 9, 1), np.float32)
    image[:, 4:] = 1
    tripled = resize(image, 27, 27, order=3, clip=False)
    np.testing.assert_allclose(tripled[:, 1::3, 1::3], image, atol=1e-6)
    assert tripled.max() > 1.01
    assert resample.resize(image, 27, 27, order=3).max() == 1


@pytest.mark.parametrize("order", [1, 3])
def test_gradients_are_those_of_finite_differences_under_jit_and_vmap(order: int) -> None:
    images = jnp.asarray(np.random.default_rng(1).uniform(size=(2, 5, 6, 1)), jnp.float32)

    def half(x: jax.Array) -> jax.Array:
        return resample.resize(x, 3, 8, order=order, clip=False)

    check_grads(jax.jit(half), (images,), order=1, modes=["rev"], atol=0.01, rtol=0.01, eps=1e-2)
    np.testing.assert_allclose(jax.vmap(half)(images[:, None])[:, 0], half(images), atol=1e-6)


def test_wrong_options_are_refused() -> None:
    images = np.zeros((1, 3, 3, 1), np.float32)
    assert_refused(lambda: resample.resize(images, 0, 3), "height and width of at least 1, got 0 x 3")
    assert_refused(lambda: resample.resize(images, 2, 2, order=2), "order must be 0, 1 or 3, got 2")
    assert_refused(lambda: resample.resize(images, 2, 2, border="constant"), "unknown border 'constant'")
    assert_refused(lambda: resample.resize(images, 2, 2, order=3, border="nearest"), "cubic splines", "nearest")
