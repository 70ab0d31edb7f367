"""Quantization of weights against NumPy and against definitions."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from imgloc.config import registry
from imgloc.inference.predict import abstract_variables
from imgloc.models import set_decoder
from imgloc.nn.apply import apply_eval
from imgloc.nn.quantization import CALIBRATIONS, KERNELS, compressed_mask, fake_quantize, to_integers, with_fake_quantization

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
    np.testing.assert_allclose(CALIBRATIONS["percentile"](KERNEL), np.percentile(rows, 99.9, axis=0, method="higher") / 127, rtol=1e-6)

    def error(name: str) -> np.ndarray:
        scale = np.asarray(CALIBRATIONS[name](KERNEL))
        return np.square(np.asarray(to_integers(KERNEL, scale)) * scale - KERNEL).sum(axis=(0, 1, 2))

    assert (error("mse") <= error("max") * (1 + 1e-5)).all()
    assert error("mse").sum() < error("max").sum()


def test_the_percentile_is_that_of_the_weights_that_are_not_pruned() -> None:
    kernel = np.zeros((2000, 16), np.float32)
    kernel[7, 3] = -2.0
    kernel[:1000, 5] = np.linspace(0.001, 1.0, 1000)
    scale = np.asarray(CALIBRATIONS["percentile"](kernel))
    assert scale[3] == pytest.approx(2.0 / 127)
    assert scale[5] == pytest.approx(1.0 / 127, rel=1e-5)
    np.testing.assert_allclose(to_integers(kernel, scale)[7, 3], -127)


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


def test_arrays_that_are_no_kernels_stay_as_they_are() -> None:
    model = set_decoder.Model(num_classes=3, **{**set_decoder.TINY, "decoder": {"name": "queries", "units": 16, "layers": 1, "heads": 1}})
    params = abstract_variables(model, (32, 32, 1), "set_decoder")["params"]
    chosen = compressed_mask(params, ())
    assert params["decoder"]["queries"].shape == (5, 16)
    assert not chosen["decoder"]["queries"]
    assert chosen["decoder"]["own0"]["out"]["kernel"]


@pytest.mark.parametrize("name", registry.names("nn.cells"))
def test_matrices_of_cells_are_chosen(name: str) -> None:
    cell = registry.find("nn.cells", name).Layer(16)
    images = jnp.zeros((1, 2, 4, 4, 16)) if name == "conv_lstm" else jnp.zeros((1, 2, 16))
    params = jax.eval_shape(cell.init, jax.random.key(0), images)["params"]
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        assert leaf.ndim < 2 or path[-1].key in KERNELS, jax.tree_util.keystr(path)


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
