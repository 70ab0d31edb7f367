"""Smooth surrogates against what they approximate."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage
from jax.test_util import check_grads
from skimage import util

from imgloc.image.soft import soft_median
from tests.image.photographs import batch, pixels, single
from tests.refusals import assert_refused


def test_the_soft_median_lies_between_the_median_and_the_mean() -> None:
    image = util.img_as_float32(pixels("camera", 24, 20))
    median, mean = scipy.ndimage.median_filter(image, 3, mode="nearest"), scipy.ndimage.uniform_filter(image, 3, mode="nearest")
    filtered = jax.jit(lambda x, t: soft_median(x, temperature=t))
    errors = [np.abs(single(filtered(batch(image), t)) - median).max() for t in (0.3, 0.1, 0.02, 0.001)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3
    np.testing.assert_allclose(single(filtered(batch(image), 1e4)), mean, atol=1e-4)


def test_the_soft_median_removes_single_pixels_in_each_channel() -> None:
    image = util.img_as_float32(pixels("chelsea", 12, 11)) * 0 + 0.25
    image[6, 5, 1] = 1
    np.testing.assert_allclose(single(jax.jit(soft_median)(batch(image))), 0.25, atol=1e-5)


def test_every_pixel_has_a_gradient_which_is_that_of_finite_differences() -> None:
    with jax.enable_x64(True):
        image = jnp.asarray(batch(util.img_as_float(pixels("camera", 4, 5))))
        check_grads(jax.jit(lambda x: soft_median(x, temperature=0.1)), (image,), order=1, modes=["rev"], eps=1e-6)
        gradient = jax.jit(jax.grad(lambda x: soft_median(x, temperature=0.1)[0, 1, 1, 0]))(image)
    assert np.all(single(gradient)[:3, :3] != 0)
    # Where all pixels are equal, each has the same share.
    flat = jax.jit(jax.grad(lambda x: soft_median(x)[0, 1, 1, 0]))(jnp.ones((1, 4, 5, 1)))
    np.testing.assert_allclose(single(flat)[:3, :3], 1 / 9, atol=1e-5)


def test_wrong_options_are_refused() -> None:
    images = np.zeros((1, 3, 3, 1))
    assert_refused(lambda: soft_median(images, 4), "soft_median.size must be an odd integer of at least 1, got 4")
    assert_refused(lambda: soft_median(images, temperature=0), "soft_median.temperature must be greater than 0, got 0")
