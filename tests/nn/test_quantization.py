"""Quantization of weights against NumPy and against definitions."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from imgloc.nn.apply import apply_eval
from imgloc.nn.quantization import CALIBRATIONS, compressed_mask, fake_quantize, to_integers, with_fake_quantization

KERNEL = np.random.default_rng(0).standard_t(2, (3, 3, 200, 16)).astype(np.float32)


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_integers_are_the_nearest_and_clipped(name: str) -> None:
    scale = np.asarray(CALIBRATIONS[name](KERNEL))
    integers = np.asarray(to_integers(KERNEL, scale))
    assert (integers == np.round(integers)).all()
    assert np.abs(integers).max() == 127
    inside = np.abs(KERNEL) <= 127 * scale * (1 + 1e-6)
    assert (np.abs(integers * scale - KERNEL)[inside] <= (scale * 0.5001 + 0 * KERNEL)[inside]).all()
    assert inside.all() == (name == "max")


def test_scales_are_those_of_their_definitions() -> None:
    rows = np.abs(KERNEL).reshape(-1, 16)
    np.testing.assert_allclose(CALIBRATIONS["max"](KERNEL), rows.max(axis=0) / 127, rtol=1e-6)
    np.testing.assert_allclose(CALIBRATIONS["percentile"](KERNEL), np.percentile(rows, 99.9, axis=0) / 127, rtol=1e-4)

    def error(name: str) -> np.ndarray:
        scale = np.asarray(CALIBRATIONS[name](KERNEL))
        return np.square(np.asarray(to_integers(KERNEL, scale)) * scale - KERNEL).sum(axis=(0, 1, 2))

    assert (error("mse") <= error("max") * (1 + 1e-5)).all()
    assert error("mse").sum() < error("max").sum()


def test_a_channel_of_zeros_stays_zero() -> None:
    for scales in CALIBRATIONS.values():
        assert (np.asarray(fake_quantize(jnp.zeros((4, 16)), scales)) == 0).all()


def test_the_gradient_passes_straight_through() -> None:
    weights = np.random.default_rng(1).standard_normal(KERNEL.shape).astype(np.float32)
    gradient = jax.grad(lambda kernel: (fake_quantize(kernel, CALIBRATIONS["max"]) * weights).sum())(KERNEL)
    np.testing.assert_array_equal(gradient, weights)


def test_kernels_are_chosen_by_outputs_and_patterns() -> None:
    params = {name: {"kernel": np.zeros((4, n)), "bias": np.zeros(n)} for name, n in (("dense", 16), ("classes", 10), ("last", 32))}
    chosen = compressed_mask(params, [re.compile("^last/")])
    assert [name for name in params if chosen[name]["kernel"]] == ["dense"]
    assert not any(chosen[name]["bias"] for name in params)


class Wide(nn.Module):
    """A dense layer over pixels."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        return {"logits": nn.Dense(20)(images.reshape(images.shape[0], -1))}


def test_a_model_computes_with_rounded_weights() -> None:
    images = np.random.default_rng(2).random((2, 4, 4, 1), np.float32)
    variables = Wide().init(jax.random.key(0), images, train=False)
    kernel = variables["params"]["Dense_0"]["kernel"]
    by_hand = images.reshape(2, -1) @ np.asarray(fake_quantize(kernel, CALIBRATIONS["max"]))
    model = with_fake_quantization(Wide(), "max", ())
    assert jax.tree.structure(model.init(jax.random.key(0), images, train=False)) == jax.tree.structure(variables)
    np.testing.assert_allclose(apply_eval(variables, images, model=model)["logits"], by_hand, atol=1e-6)
    assert np.abs(apply_eval(variables, images, model=Wide())["logits"] - by_hand).max() > 1e-4
