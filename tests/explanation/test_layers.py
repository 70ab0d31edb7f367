"""Layers are found by name in models of the package, and their gradients are those of the score."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from imgloc.config import registry
from imgloc.explanation import layers, targets
from imgloc.explanation.question import Question
from imgloc.inference.explain import layer_of, layer_shapes, target_of
from imgloc.models import second_look
from imgloc.nn.apply import apply_eval
from imgloc.types import InputSpec
from tests.explanation.small_networks import Network, images, question
from tests.inference.trained import trained_model
from tests.refusals import assert_refused


def of_model(name: str, objective: Any, index: Any, layer: str = "", size: int = 32) -> tuple[Question, jax.ShapeDtypeStruct]:
    """A question about a model of the package; nothing is computed."""
    module = registry.find("models", name)
    model, shape = module.Model(num_classes=3, **module.TINY), jax.ShapeDtypeStruct((1, size, size, 1), jnp.float32)
    variables = jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), shape)
    return Question(functools.partial(apply_eval, model=model), variables, objective, jnp.asarray(index, jnp.int32), layer), shape


def activation_shape(name: str, objective: Any, index: Any, layer: str = "", size: int = 32) -> tuple[int, ...]:
    asked, shape = of_model(name, objective, index, layer, size)

    def activation(variables: Any, images: jax.Array) -> jax.Array:
        return Question(asked.forward, variables, asked.objective, asked.index_bxm, asked.layer).split(images)[0]

    return jax.eval_shape(activation, asked.variables, shape).shape


@pytest.mark.parametrize(
    ("name", "objective", "index", "shape"),
    [
        ("efficientnet_lite", targets.class_logit, [[0]], (1, 2, 2, 64)),  # the output `head`, after the activation
        ("localizer", targets.class_logit, [[0]], (1, 4, 4, 8)),  # `last`
        ("localizer", targets.box_edge, [[2]], (1, 8, 8, 4)),  # the edges are found on fine and on coarse maps: what both come from
        ("detector", targets.detection_edge, [[5, 0]], (1, 4, 4, 8)),  # that of the backbone at stride 8
    ],
)
def test_the_default_layer_is_the_last_that_all_of_the_score_passes(name: str, objective: Any, index: Any, shape: tuple[int, ...]) -> None:
    assert activation_shape(name, objective, index, size=64 if name == "efficientnet_lite" else 32) == shape


def test_a_target_with_several_paths_from_the_image_needs_a_layer() -> None:
    assert_refused(lambda: activation_shape("second_look", targets.class_logit, [[0]]), "several paths", "name a layer: first/Conv_0")
    assert activation_shape("second_look", targets.class_logit, [[0]], "first/Conv_3") == (1, 4, 4, 8)


@pytest.mark.parametrize("target", ["", "edge:left"])
def test_a_model_declares_a_default_layer_for_targets_that_have_a_gradient_there(target: str) -> None:
    model = second_look.Model(num_classes=2, **second_look.TINY)
    trained = trained_model(model, InputSpec((32, 32, 1)), ("a", "b"))
    asked = target_of(trained, target)
    if target:  # no gradient passes from the box of the second stage to the first one
        assert_refused(lambda: layer_of(trained, asked, ""), "several paths")
    else:
        assert layer_of(trained, asked, "") == "deep"
        assert layer_shapes(trained)["deep"] == (4, 4, 8)
    assert layer_of(trained, asked, "first/Conv_3") == "first/Conv_3"


def test_models_without_maps_are_refused() -> None:
    assert_refused(lambda: activation_shape("recurrent", targets.class_logit, [[0]]), "no layer of this model has maps")
    assert_refused(lambda: activation_shape("recurrent", targets.class_logit, [[0]], "rows"), "no layer of this model has maps")


def test_the_gradient_of_a_layer_is_that_of_a_change_added_to_it() -> None:
    """An independent way: the same network with a change added in its code."""

    class Changed(nn.Module):
        @nn.compact
        def __call__(self, images: jax.Array, change: jax.Array) -> jax.Array:
            first = nn.relu(nn.Conv(4, (3, 3), padding="VALID", name="conv1")(images)) + change
            last = nn.relu(nn.Conv(6, (3, 3), (2, 2), padding="VALID", name="conv2")(first))
            logits: jax.Array = nn.Dense(3, name="classes")(last.mean(axis=(1, 2)))
            return logits

    asked = question(layer="first")
    activation, gradient = jax.jit(asked.activation_and_gradient)(images())

    def score(change: jax.Array) -> jax.Array:
        logits = Changed().apply(asked.variables, images(), change)
        return logits[jnp.arange(2), asked.index_bxm[:, 0]].sum()

    np.testing.assert_allclose(gradient, jax.jit(jax.grad(score))(jnp.zeros_like(activation)), rtol=1e-5, atol=1e-7)
    assert np.abs(gradient).max() > 0


def test_the_score_of_an_activation_is_the_score_and_needs_nothing_below() -> None:
    asked = question(layer="last")
    activation, score_of = asked.split(images())
    np.testing.assert_allclose(score_of(activation), asked.score(images()), rtol=1e-6)
    operations = str(jax.make_jaxpr(score_of)(activation))
    assert "conv_general_dilated" not in operations
    assert "conv_general_dilated" in str(jax.make_jaxpr(asked.score)(images()))


def test_calls_of_a_shared_module_have_numbers() -> None:
    class Shared(nn.Module):
        @nn.compact
        def __call__(self, images: jax.Array, *, train: bool) -> dict[str, Any]:
            conv = nn.Conv(3, (3, 3), name="conv")
            return {"logits": nn.relu(conv(nn.relu(conv(images)))).mean((1, 2))}

    asked = question(Shared())

    def score_and_outputs(variables: Any, x: jax.Array) -> Any:
        outputs = asked.forward(variables, x)
        return asked.objective(outputs, asked.index_bxm), outputs

    traced = layers.trace(score_and_outputs, asked.variables, images())
    assert layers.map_shapes(traced) == {"conv": (2, 12, 12, 3), "conv:1": (2, 12, 12, 3)}


def test_the_outputs_of_a_model_do_not_change_by_being_traced() -> None:
    asked = question(Network("max"))
    _, score_of = asked.split(images())
    assert jnp.isfinite(score_of(asked.split(images())[0])).all()
