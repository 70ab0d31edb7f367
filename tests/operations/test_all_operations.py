"""What every operation promises: maps of the size of the image, the same for an image alone and in a batch, or a clear refusal."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.config import registry
from imgloc.config.build import Step, keyword_options, make_steps
from imgloc.config.resolve import complete_operation
from imgloc.interfaces import Operation
from imgloc.nn.preprocess import apply_step
from tests.refusals import assert_refused

NAMES = registry.names("operations")
RNG = np.random.default_rng(0)
SMOOTH = np.add.outer(np.arange(33), np.arange(41))[None, :, :, None] / 80  # odd sizes
IMAGES = np.clip(SMOOTH * [0.9, 0.7, 0.5] + RNG.uniform(0, 0.3, (2, 33, 41, 3)), 0, 1).astype(np.float32)


def step_of(name: str) -> Step:
    return make_steps([complete_operation(name)])[0]


@functools.cache
def compiled(name: str):  # type: ignore[no-untyped-def]
    step = step_of(name)
    return jax.jit(lambda images: apply_step(images, step))


@pytest.mark.parametrize("name", NAMES)
def test_maps_have_the_size_of_the_image(name: str) -> None:
    operation = registry.declared("operations", name, Operation)
    assert operation.meaning[0].islower(), "it completes a sentence"
    for channels in (1, 3):
        images = IMAGES[..., :channels]
        if operation.channels and channels not in operation.channels:
            assert_refused(lambda: apply_step(jnp.asarray(images), step_of(name)), f"operation '{name}' needs images with")  # noqa: B023
            continue
        maps = np.asarray(compiled(name)(images))
        assert maps.shape[:3] == images.shape[:3]
        assert maps.dtype == np.float32
        assert np.isfinite(maps).all()
        assert np.abs(maps - maps.mean(axis=(1, 2), keepdims=True)).max() > 0, "the maps of an image are flat"
        picture = operation.picture(maps[0])
        assert picture.shape in ((33, 41, 1), (33, 41, 3))
        assert 0 <= picture.min() < picture.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_an_image_has_the_same_maps_in_every_batch(name: str) -> None:
    maps = np.asarray(compiled(name)(IMAGES))
    turned = np.asarray(compiled(name)(IMAGES[::-1]))[::-1]
    np.testing.assert_allclose(maps, turned, atol=1e-5)
    assert np.abs(maps[0] - maps[1]).max() > 0


@pytest.mark.parametrize("name", NAMES)
def test_flat_images_have_finite_maps(name: str) -> None:
    for value in (0.0, 1.0):
        assert np.isfinite(np.asarray(compiled(name)(np.full_like(IMAGES, value)))).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_default_that_a_config_can_hold(name: str) -> None:
    for option, default in keyword_options(registry.declared("operations", name, Operation).function).items():
        assert isinstance(default, (bool, int, float, str, tuple)), option


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sobel", {"sigma": -1.0}, "gaussian.sigma must be at least 0, got -1"),
        ("gamma", {"exponent": -1.0}, "gamma must be at least 0, got -1"),
    ],
)
def test_options_out_of_range_are_refused(name: str, options: dict[str, float], message: str) -> None:
    (step,) = make_steps([complete_operation({"name": name, **options})])
    assert_refused(lambda: apply_step(jnp.asarray(IMAGES), step), message)


def test_a_power_of_0_is_white_and_a_dark_channel_is_balanced() -> None:
    (power,) = make_steps([complete_operation({"name": "gamma", "exponent": 0.0})])
    np.testing.assert_array_equal(apply_step(jnp.asarray(IMAGES), power), 1.0)
    cast = IMAGES * np.array([1, 1e-4, 1], np.float32)
    balanced = np.asarray(apply_step(jnp.asarray(cast), step_of("white_balance"))).mean(axis=(1, 2))
    assert (balanced[:, 1] > 0.5 * balanced[:, 0]).all()


def test_maps_of_another_size_are_refused() -> None:
    operation = Operation(lambda images: images[:, 1:], "cuts", lambda maps: maps)
    assert_refused(
        lambda: apply_step(jnp.asarray(IMAGES), Step("cuts", operation, operation.function, operation.picture)),
        "must return maps of the shape (2, 33, 41, k)",
    )
