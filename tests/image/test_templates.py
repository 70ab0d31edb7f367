"""Template matching against scikit-image."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.feature
from jax.test_util import check_grads

from imgloc.image import templates
from tests.image.photographs import batch, photograph
from tests.refusals import assert_refused

match = jax.jit(templates.match_template, static_argnames=("pad_input", "border", "value"))


@pytest.mark.parametrize("pad_input", [False, True])
@pytest.mark.parametrize("size", [(1, 2), (9, 14), (16, 5), (65, 72)])
def test_coefficients_of_gray_images_are_those_of_scikit_image(size: tuple[int, int], pad_input: bool) -> None:
    image = batch(photograph("camera"))
    template = image[:, -size[0] :, -size[1] :]
    oracle = skimage.feature.match_template(image[0, :, :, 0].astype(float), template[0, :, :, 0].astype(float), pad_input)
    if size[0] == 1:
        # Of two pixels the coefficient is 1 or -1, and rounding decides the sign of equal ones.
        oracle = np.where(np.abs(oracle) > 0.99, oracle, 0)
    np.testing.assert_allclose(match(image, template, pad_input=pad_input)[0], oracle, atol=1e-5)


@pytest.mark.parametrize("pad_input", [False, True])
def test_coefficients_of_color_images_with_a_template_each(pad_input: bool) -> None:
    images = np.stack([photograph("coffee"), photograph("coffee")[::-1] ** 2])
    each = np.stack([images[0, 5:14, 7:19], images[1, 30:39, 11:23]])
    found = match(images, each, pad_input=pad_input)
    for image, template, one in zip(images.astype(float), each.astype(float), found, strict=True):
        # Along the channels, the middle of the padded answer is where all of them match.
        oracle = skimage.feature.match_template(image, template, pad_input)[..., 1 if pad_input else 0]
        np.testing.assert_allclose(one, oracle, atol=1e-5)


def test_other_borders() -> None:
    image = batch(photograph("camera"))
    template = image[:, 3:10, 4:12]
    for border, mode in (("mirror", "reflect"), ("nearest", "edge")):
        oracle = skimage.feature.match_template(image[0, :, :, 0].astype(float), template[0, :, :, 0], pad_input=True, mode=mode)
        np.testing.assert_allclose(match(image, template, pad_input=True, border=border)[0], oracle, atol=1e-5)


def test_the_best_box_is_where_the_template_was_cut() -> None:
    images = np.stack([photograph("astronaut"), photograph("astronaut")[:, ::-1]])
    height, width = images.shape[1:3]
    found = jax.jit(templates.best_match)(images, images[:1, 20:33, 9:28] * 0.5 + 0.2)
    np.testing.assert_allclose(found.boxes_bx4[0], np.array([9, 20, 28, 33]) / [width, height, width, height], atol=1e-6)
    assert found.scores_b[0] == pytest.approx(1, abs=1e-5)
    assert found.scores_b[1] < 0.99


def test_constant_windows_and_templates_have_no_correlation() -> None:
    image = np.full((1, 9, 9, 1), 0.3, np.float32)
    image[:, 6:] = np.linspace(0, 1, 9)[:, None]
    coefficients = match(image, image[:, 6:9, :3])
    np.testing.assert_array_equal(coefficients[0, :4], 0)
    assert np.all(coefficients[0, 6] > 0.999)
    np.testing.assert_array_equal(match(image, image[:, :3, :3]), 0)
    np.testing.assert_array_equal(match(image[:, :1, :1], image[:, :1, :1]), np.zeros((1, 1, 1)))


def test_gradients_are_those_of_finite_differences() -> None:
    random = np.random.default_rng(0)
    image, template = (jnp.asarray(random.uniform(size=(1, side, side, 2)), jnp.float32) for side in (5, 3))
    check_grads(match, (image, template), order=1, modes=["rev"], atol=0.02, rtol=0.02, eps=1e-3)
    slope = jax.grad(lambda x: match(x, template).sum())(jnp.full((1, 5, 5, 2), 0.5))
    assert np.all(np.isfinite(slope))


def test_wrong_templates_are_refused() -> None:
    images = np.zeros((2, 4, 5, 1), np.float32)
    assert_refused(lambda: templates.match_template(images, images[:, :, :, [0, 0]]), "(1 or 2, m, n, 1)")
    assert_refused(lambda: templates.match_template(images, np.zeros((3, 2, 2, 1), np.float32)), "(1 or 2, m, n, 1)")
    assert_refused(lambda: templates.match_template(images, np.zeros((1, 5, 2, 1), np.float32)), "4 x 5", "got 5 x 2")
