"""Conversions between color spaces against scikit-image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.color
from jax.test_util import check_grads

from imgloc.image import color
from tests.image.photographs import COLOR, photograph
from tests.refusals import assert_refused

#: To a space, back from it, and the size of its values.
SPACES = {
    "hsv": (jax.jit(color.rgb_to_hsv), jax.jit(color.hsv_to_rgb), 1.0),
    "lab": (jax.jit(color.rgb_to_lab), jax.jit(color.lab_to_rgb), 100.0),
    "ycbcr": (jax.jit(color.rgb_to_ycbcr), jax.jit(color.ycbcr_to_rgb), 255.0),
}
CORNERS = np.array([[r, g, b] for r in (0, 0.5, 1) for g in (0, 0.5, 1) for b in (0, 0.5, 1)], np.float32)[None, None]


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", [*COLOR, "corners", "16 bits"])
def test_colors_are_those_of_scikit_image_in_both_directions(space: str, name: str) -> None:
    there, back, size = SPACES[space]
    image = (
        photograph(name)
        if name in COLOR
        else CORNERS[0]
        if name == "corners"
        else np.float32(np.random.default_rng(0).integers(0, 2**16, (5, 7, 3)) / 65535)
    )
    expected = getattr(skimage.color, f"rgb2{space}")(image.astype(float))
    np.testing.assert_allclose(there(image[None])[0], expected, atol=1e-6 * size, rtol=1e-5)
    returned = getattr(skimage.color, f"{space}2rgb")(expected)
    np.testing.assert_allclose(back(expected[None].astype(np.float32))[0], returned, atol=1e-5)


def test_hues_beyond_0_and_1_are_periodic() -> None:
    hsv = np.array([[[[0.2, 0.7, 0.6]]]], np.float32)
    shift = np.array([1, 0, 0], np.float32)
    for turns in (-1, 1, 2):
        np.testing.assert_allclose(SPACES["hsv"][1](hsv + turns * shift), SPACES["hsv"][1](hsv), atol=1e-6)


@pytest.mark.parametrize("space", SPACES)
def test_gradients_are_those_of_finite_differences(space: str) -> None:
    there, back, _ = SPACES[space]
    images = jnp.asarray(np.random.default_rng(3).uniform(0.2, 0.8, (1, 2, 2, 3)), jnp.float32)
    for convert, at in ((there, images), (back, there(images))):
        check_grads(convert, (at,), order=1, modes=["rev"], atol=0.02, rtol=0.02, eps=1e-3)


@pytest.mark.parametrize("space", SPACES)
def test_gradients_are_finite_at_gray_black_and_white(space: str) -> None:
    there, back, _ = SPACES[space]

    def total(function: Callable[[jax.Array], jax.Array]) -> Any:
        return jax.jit(jax.grad(lambda images: jnp.sum(function(images))))

    for images in (jnp.asarray(CORNERS), there(jnp.asarray(CORNERS))):
        for function in (there, back):
            assert np.all(np.isfinite(total(function)(images)))


def test_other_numbers_of_channels_are_refused() -> None:
    for there, back, _ in SPACES.values():
        for convert in (there, back):
            assert_refused(lambda convert=convert: convert(np.zeros((1, 2, 2, 1), np.float32)), "3 channels")  # type: ignore[misc]
