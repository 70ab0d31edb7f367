"""The quality of explanations: hand-computed values, properties, and controls."""

from __future__ import annotations

from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.explanation.keys import image_keys
from imgloc.explanation.quality import controls, curves, in_box, sanity
from imgloc.explanation.quality.sensitivity import max_sensitivity
from tests.explanation.small_networks import images, question

KEYS = image_keys(0, "test", jnp.arange(2))
BOX = np.array([[0.0, 0.0, 0.5, 0.25]])


def test_pointing_and_energy_by_hand() -> None:
    maps = np.zeros((4, 4))
    maps[0, 1], maps[3, 3] = 3.0, 1.0
    assert in_box.points_into_box(maps, BOX) == 1.0
    assert in_box.points_into_box(maps[::-1], BOX) == 0.0
    assert in_box.energy_in_box(maps, BOX) == 0.75
    assert in_box.energy_in_box(maps, np.concatenate([BOX, BOX, [[0.75, 0.75, 1, 1]]])) == 1.0, "the union counts once"
    for nothing in (np.zeros((4, 4)), maps):
        boxes = BOX if not nothing.any() else BOX[:0]
        assert np.isnan(in_box.points_into_box(nothing, boxes))
        assert np.isnan(in_box.energy_in_box(nothing, boxes))


def test_curves_of_a_mean_are_known() -> None:
    """The score is the mean of the pixels: deleting the brightest first lowers it most, and the ends are fixed."""

    def score(x: jax.Array) -> jax.Array:
        return x.mean(axis=(1, 2, 3))

    x = jnp.asarray(np.random.default_rng(0).permutation(16).reshape(1, 4, 4, 1), jnp.float32)
    for sign in (1, -1):
        deleted = curves.deletion_curve(score, x, sign * x[..., 0], 4)
        order = np.sort(np.arange(16))[::sign]
        kept = [order[::-1][4 * step :].sum() / 16 for step in range(5)]
        np.testing.assert_allclose(deleted, [kept], rtol=1e-5)
    inserted = curves.insertion_curve(score, x, x[..., 0], 4)
    np.testing.assert_allclose(inserted[0, [0, -1]], [curves.blurred(x).mean(), x.mean()], rtol=1e-5)
    np.testing.assert_allclose(curves.area_under(jnp.array([[1.0, 0.5, 0.0]])), [0.5])


def test_the_blur_is_that_of_opencv() -> None:
    x = np.random.default_rng(1).uniform(size=(1, 40, 60, 3)).astype(np.float32)
    sigma = curves.BLUR * 40 / 224
    size = 2 * max(1, round(3 * sigma)) + 1
    theirs = cv2.GaussianBlur(x[0], (size, size), sigma, borderType=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(curves.blurred(jnp.asarray(x))[0], theirs, rtol=1e-4, atol=1e-5)


def test_edges_are_those_of_opencv() -> None:
    x = np.random.default_rng(1).uniform(size=(2, 12, 9, 1)).astype(np.float32)
    for i, ours in enumerate(controls.edges(jnp.asarray(x), KEYS)):
        dx, dy = (cv2.Sobel(x[i, ..., 0], cv2.CV_32F, *order, borderType=cv2.BORDER_REPLICATE) for order in ((1, 0), (0, 1)))
        np.testing.assert_allclose(ours, np.hypot(dx, dy), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", controls.CONTROLS)
def test_controls_are_maps_of_the_image(name: str) -> None:
    maps = controls.CONTROLS[name](images(), KEYS)
    assert maps.shape == (2, 12, 12)
    assert np.ptp(maps[0]) > 0
    if name == "center":
        np.testing.assert_allclose(maps[0], maps[0][::-1, ::-1], rtol=1e-5)
        assert maps[0, 5, 5] == maps.max()


def test_the_cascade_randomizes_from_the_last_module_to_the_first() -> None:
    asked = question()
    stages = list(sanity.cascade(asked.variables, ["conv1", "conv2", "classes"], jax.random.key(0), 3))
    changed = []
    for variables in stages:
        params = asked.variables["params"], variables["params"]
        pairs = {name: [each[name]["kernel"] for each in params] for name in ("classes", "conv2", "conv1")}
        changed.append([name for name, (a, b) in pairs.items() if not np.array_equal(a, b)])
        for a, b in pairs.values():
            np.testing.assert_array_equal(np.sort(a.ravel()), np.sort(b.ravel()))
    assert changed == [["classes"], ["classes", "conv2"], ["classes", "conv2", "conv1"]]
    assert len(list(sanity.cascade(asked.variables, ["conv1", "conv2", "classes"], jax.random.key(0), 99))) == 3


def test_rank_correlation_is_that_of_scipy() -> None:
    from scipy import stats

    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (3, 4, 4)).astype(float), rng.integers(0, 5, (3, 4, 4)).astype(float)
    theirs = [stats.spearmanr(x.ravel(), y.ravel()).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(sanity.rank_correlation(a, b), theirs, rtol=1e-6)
    np.testing.assert_allclose(sanity.rank_correlation(a, a), 1.0)
    np.testing.assert_array_equal(sanity.rank_correlation(a, np.zeros_like(a)), 0.0)


def test_max_sensitivity_of_known_maps() -> None:
    def constant(x: jax.Array) -> jax.Array:
        return jnp.ones(x.shape[:3])

    def itself(x: jax.Array) -> jax.Array:
        return x[..., 0]

    ones: Any = jnp.ones((2, 6, 6, 1))
    np.testing.assert_allclose(max_sensitivity(constant, ones, constant(ones), KEYS), 0.0)
    changed = max_sensitivity(itself, ones, itself(ones), KEYS, radius=0.3, samples=20)
    assert ((changed > 0.3 / np.sqrt(3) * 0.9) & (changed <= 0.3)).all(), "uniform noise has the standard deviation r / sqrt(3)"
    alone = max_sensitivity(itself, ones[:1], itself(ones[:1]), KEYS[1:], radius=0.3, samples=20)
    np.testing.assert_allclose(alone, changed[1:], rtol=1e-5, err_msg="the changes of an image depend on its batch")
    assert changed[0] != changed[1]
    assert np.isnan(max_sensitivity(itself, ones * 0, itself(ones * 0), KEYS)).all()
