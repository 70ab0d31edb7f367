"""Borders of images against scipy.ndimage's."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from imgloc.image import borders
from tests.refusals import assert_refused


@pytest.mark.parametrize("border", ["reflect", "mirror", "nearest", "wrap", "constant"])
@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (1, 4)])
def test_pixels_beyond_the_border_are_those_of_scipy(border: str, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).uniform(size=shape).astype(np.float32)
    # A correlation with a single one at an offset reads the pixel at that offset.
    padded = np.asarray(borders.pad(image[None, :, :, None], (3, 3), (3, 3), border, value=0.25))[0, :, :, 0]  # type: ignore[arg-type]
    for dy in (-3, -1, 0, 2, 3):
        for dx in (-3, 0, 1, 3):
            kernel = np.zeros((7, 7))
            kernel[3 + dy, 3 + dx] = 1
            expected = scipy.ndimage.correlate(image, kernel, mode=border, cval=0.25)
            np.testing.assert_array_equal(padded[3 + dy : 3 + dy + shape[0], 3 + dx : 3 + dx + shape[1]], expected)


@pytest.mark.parametrize("border", ["reflect", "mirror", "nearest", "wrap", "constant"])
def test_gradients_are_those_of_numpys_pads(border: str) -> None:
    images = jnp.asarray(np.random.default_rng(0).uniform(size=(2, 4, 3, 2)), jnp.float32)
    factors = np.random.default_rng(1).uniform(size=(2, 10, 6, 2)).astype(np.float32)
    widths = (5, 1), (0, 3)

    def ours(x: jax.Array) -> jax.Array:
        return jnp.sum(factors * borders.pad(x, *widths, border, value=0.5) ** 2)  # type: ignore[arg-type]

    def theirs(x: jax.Array) -> jax.Array:
        options = {"constant_values": 0.5} if border == "constant" else {}
        return jnp.sum(factors * jnp.pad(x, ((0, 0), *widths, (0, 0)), mode=borders.NUMPY_MODES[border], **options) ** 2)  # type: ignore[index]

    np.testing.assert_allclose(jax.jit(jax.grad(ours))(images), jax.jit(jax.grad(theirs))(images), rtol=1e-5)
    tangents = [jax.jit(lambda x, f=f: jax.jvp(f, (x,), (x,))[1])(images) for f in (ours, theirs)]
    np.testing.assert_allclose(*tangents, rtol=1e-5)


def test_integers_and_booleans_keep_their_type() -> None:
    for dtype in (np.uint8, np.int32, np.bool_):
        images = np.array([[[[1], [0]]]]).astype(dtype)
        padded = borders.pad(images, (0, 0), (1, 1), "constant", value=1)
        assert padded.dtype == dtype
        np.testing.assert_array_equal(padded[0, 0, :, 0], [1, 1, 0, 1])


def test_an_infinite_value_leaves_the_image_alone() -> None:
    padded = borders.pad(np.ones((1, 1, 1, 1), np.float32), (0, 0), (1, 0), "constant", value=np.inf)
    np.testing.assert_array_equal(padded[0, 0, :, 0], [np.inf, 1])


def test_an_unknown_border_is_refused() -> None:
    images = np.zeros((1, 2, 2, 1), np.float32)
    assert_refused(lambda: borders.pad(images, (1, 1), (1, 1), "reflct"), "unknown border 'reflct'; did you mean 'reflect'?")  # type: ignore[arg-type]
