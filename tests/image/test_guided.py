"""The guided filter against a computation of its definition, window by window."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from jax.test_util import check_grads
from skimage import util

from imgloc.image.guided import guided
from imgloc.types import FloatArray
from tests.image.photographs import batch, pixels, single
from tests.refusals import assert_refused


def by_least_squares(image_hxw: FloatArray, guide_hxwxg: FloatArray, radius: int, epsilon: float) -> FloatArray:
    """In each window the ridge regression of the image on the guide, whose intercept has no penalty; a pixel averages its windows."""
    height, width, channels = guide_hxwxg.shape
    totals, counts = np.zeros((height, width)), np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            window = slice(max(y - radius, 0), y + radius + 1), slice(max(x - radius, 0), x + radius + 1)
            pixels = guide_hxwxg[window].reshape(-1, channels)
            columns = np.hstack([pixels, np.ones((len(pixels), 1))])
            penalty = epsilon * len(pixels) * np.diag([1.0] * channels + [0.0])
            solution = np.linalg.solve(columns.T @ columns + penalty, columns.T @ image_hxw[window].ravel())
            totals[window] += (columns @ solution).reshape(image_hxw[window].shape)
            counts[window] += 1
    return totals / counts


@pytest.mark.parametrize(("radius", "epsilon"), [(1, 1e-3), (9, 1e-1)])
def test_the_result_is_that_of_the_definition(radius: int, epsilon: float) -> None:
    image, color = util.img_as_float(pixels("camera", 12, 15)), util.img_as_float(pixels("chelsea", 12, 15))
    filtered = jax.jit(guided, static_argnums=2)
    for guide in (image[..., None], color):
        expected = by_least_squares(image, guide, radius, epsilon)
        np.testing.assert_allclose(single(filtered(batch(image), batch(guide), radius, epsilon)), expected, atol=1e-5)
    expected = np.stack([by_least_squares(color[..., c], image[..., None], radius, epsilon) for c in range(3)], axis=-1)
    np.testing.assert_allclose(single(filtered(batch(color), batch(image), radius, epsilon)), expected, atol=1e-5)


def test_an_image_guided_by_itself_keeps_steps_and_loses_noise() -> None:
    noise = np.random.default_rng(0).normal(scale=0.02, size=(20, 20))
    step = np.repeat(np.repeat([[0.2, 0.8]], 10, axis=1), 20, axis=0)
    result = single(jax.jit(lambda x: guided(x, x, 3, 4e-3))(batch(step + noise)))
    assert np.abs(result - step).mean() < np.abs(noise).mean() / 2


def test_gradients_are_those_of_finite_differences() -> None:
    with jax.enable_x64(True):
        image, guide = batch(util.img_as_float(pixels("camera", 4, 5))), batch(util.img_as_float(pixels("chelsea", 4, 5)))
        check_grads(jax.jit(lambda x, g, e: guided(x, g, 1, e)), (image, guide, 0.01), order=1, modes=["rev"], eps=1e-6)


def test_wrong_options_are_refused() -> None:
    images = np.zeros((1, 4, 5, 1))
    assert_refused(
        lambda: guided(images, np.zeros((1, 5, 4, 1)), 1, 0.1), "guided.guide must have the size of the images (1, 4, 5), got (1, 5, 4)"
    )
    assert_refused(lambda: guided(images, images, 0, 0.1), "guided.radius must be an integer of at least 1, got 0")
    assert_refused(lambda: guided(images, images, 1, 0), "guided.epsilon must be greater than 0, got 0")
