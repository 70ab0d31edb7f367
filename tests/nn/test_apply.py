"""Applying a model: the scale of its inputs, the dtype of its computation, and what each mode changes."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.nn import apply
from imgloc.types import Batch

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 3, 3, 1), np.uint8)


class Model(nn.Module):
    """A model with parameters, batch statistics and dropout, which also reports the dtype of its inputs."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, Any]:
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(images.reshape(images.shape[0], -1))
        x = nn.Dropout(0.5, deterministic=not train)(x)
        in_bfloat16 = jnp.full(images.shape[:1], images.dtype == jnp.bfloat16)
        return {"logits": nn.Dense(5, dtype=x.dtype)(x), "features": {"in_bfloat16": in_bfloat16}}


def batch() -> Batch:
    return Batch(IMAGES, *[None] * (len(Batch._fields) - 2))


def variables() -> dict[str, Any]:
    initial: dict[str, Any] = Model().init(jax.random.key(0), jnp.zeros((1, 3, 3, 1)), train=False)
    return initial


def train(dtype: Any = jnp.float32, key: int = 0) -> Any:
    initial = variables()
    state = {"batch_stats": initial["batch_stats"]}
    return apply.apply_train(initial["params"], state, batch(), jax.random.key(key), model=Model(), dtype=dtype)


def test_the_dtype_of_a_config_has_two_names() -> None:
    assert (apply.compute_dtype("float32"), apply.compute_dtype("bfloat16")) == (jnp.float32, jnp.bfloat16)
    with pytest.raises(UserError, match=r"unknown dtype \(train.dtype\) 'float16'; did you mean 'bfloat16'"):
        apply.compute_dtype("float16")


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_inputs_are_scaled_to_one(dtype: Any) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    inputs = apply.as_inputs(jnp.asarray(levels), dtype)
    assert inputs.dtype == dtype
    assert (float(inputs.min()), float(inputs.max())) == (0.0, 1.0)
    tolerance = 1e-6 if dtype == jnp.float32 else 2**-7
    np.testing.assert_allclose(np.asarray(inputs, np.float64), levels / 255, rtol=tolerance)


def test_cast_converts_floating_point_arrays_alone() -> None:
    tree = {"a": jnp.ones(2), "b": [jnp.int32(3), jnp.bool_(True)], "c": jnp.ones(1, jnp.bfloat16)}
    lowered = apply.cast(tree, jnp.bfloat16)
    assert [leaf.dtype for leaf in jax.tree.leaves(lowered)] == [jnp.bfloat16, jnp.int32, jnp.bool_, jnp.bfloat16]
    assert jax.tree.structure(lowered) == jax.tree.structure(tree)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_training_returns_float32_outputs_and_a_new_state(dtype: Any) -> None:
    outputs, state = train(dtype)
    assert bool(outputs["features"]["in_bfloat16"].all()) is (dtype == jnp.bfloat16)
    assert outputs["logits"].dtype == jnp.float32
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(state))
    mean = 0.5 * (IMAGES / 255).reshape(4, -1).mean(axis=0)  # the old mean is 0, the momentum 0.5
    np.testing.assert_allclose(state["batch_stats"]["BatchNorm_0"]["mean"], mean, rtol=1e-5 if dtype == jnp.float32 else 0.02)


def test_training_depends_on_the_dropout_key_and_prediction_does_not_drop() -> None:
    same, other = train(key=0), train(key=1)
    np.testing.assert_array_equal(same[0]["logits"], train(key=0)[0]["logits"])
    assert np.abs(same[0]["logits"] - other[0]["logits"]).max() > 1e-3
    jax.tree.map(np.testing.assert_array_equal, same[1], other[1])
    predicted = apply.predict_step(variables(), jnp.asarray(IMAGES), model=Model())
    kernel, bias = (variables()["params"]["Dense_0"][name] for name in ("kernel", "bias"))
    expected = (IMAGES / 255).reshape(4, -1) / np.sqrt(1 + 1e-5) @ kernel + bias  # mean 0 and variance 1 at the start
    np.testing.assert_allclose(predicted["logits"], expected, rtol=1e-4, atol=1e-5)


def test_prediction_in_bfloat16_returns_float32() -> None:
    exact = apply.predict_step(variables(), jnp.asarray(IMAGES), model=Model())
    outputs = apply.predict_step(variables(), jnp.asarray(IMAGES), model=Model(), dtype=jnp.bfloat16)
    assert bool(outputs["features"]["in_bfloat16"].all())
    assert outputs["logits"].dtype == jnp.float32
    assert 0 < np.abs(outputs["logits"] - exact["logits"]).max() < 0.1


def test_no_other_file_of_the_package_applies_a_model(repository: Path) -> None:
    callers = {
        str(path.relative_to(repository))
        for path in (repository / "imgloc").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "apply"
    }
    layers = {
        "imgloc/nn/freezing.py",  # applies a normalization again, with its stored statistics
        "imgloc/models/classical/training_features.py",  # applies a descriptor, which has no variables and one mode
    }
    assert callers - layers == {"imgloc/nn/apply.py"}


class Labelled(nn.Module):
    """A model that takes the true classes in training."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool, label_b: jax.Array | None = None) -> dict[str, Any]:
        bias = self.param("bias", nn.initializers.zeros, (1,))
        return {"logits": bias + (jnp.full(len(images), -1) if label_b is None else label_b)[:, None]}


def test_a_model_that_takes_labels_has_them_in_training_alone() -> None:
    assert (apply.takes_labels(Labelled()), apply.takes_labels(Model())) == (True, False)
    labelled = batch()._replace(label_b=np.array([3, 1, 2, 0], np.int32))
    params = {"bias": jnp.zeros(1)}
    outputs, _ = apply.apply_train(params, {}, labelled, jax.random.key(0), model=Labelled())
    np.testing.assert_array_equal(outputs["logits"][:, 0], [3, 1, 2, 0])
    np.testing.assert_array_equal(apply.predict_step({"params": params}, IMAGES, model=Labelled())["logits"][:, 0], -1)
