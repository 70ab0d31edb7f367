"""Standardized images against NumPy."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.nn.standardize import standardize
from tests.refusals import assert_refused

IMAGES = np.random.default_rng(0).uniform(size=(2, 4, 5, 3)).astype(np.float32)


def test_a_mean_and_a_std_are_of_all_channels_or_of_each() -> None:
    np.testing.assert_allclose(standardize(IMAGES, (0.25,), (0.5,)), (IMAGES - 0.25) / 0.5, rtol=1e-6)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    np.testing.assert_allclose(standardize(IMAGES, mean, std), (IMAGES - np.array(mean)) / np.array(std), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(standardize(IMAGES, (0.0,), (1.0,)), IMAGES)


def test_the_dtype_of_images_stays() -> None:
    assert standardize(jnp.asarray(IMAGES, jnp.bfloat16), (0.1, 0.2, 0.3), (0.5,)).dtype == jnp.bfloat16


WRONG = [((0.1, 0.2), (1.0,), "mean"), ((0.1,), (), "std"), ((0.1,), (0.0,), "std"), ((0.1,), (1.0, 1.0, -1.0), "std")]


@pytest.mark.parametrize(("mean", "std", "name"), WRONG)
def test_other_numbers_are_refused(mean: tuple[float, ...], std: tuple[float, ...], name: str) -> None:
    assert_refused(lambda: standardize(IMAGES, mean, std), f"model.{name}")
