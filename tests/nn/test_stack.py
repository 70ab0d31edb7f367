"""The parameters of a stack and the fields that it refuses; tests/nn/cells/test_cells.py checks its values."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.nn.cell import make_layer
from imgloc.nn.stack import Stack
from tests.refusals import assert_refused

X = np.random.default_rng(0).standard_normal((2, 3, 5), np.float32)


def shapes(stack: Stack) -> Any:
    variables = jax.eval_shape(stack.init, jax.random.key(0), X)
    return jax.tree.map(lambda a: a.shape, variables["params"]), jax.eval_shape(stack.apply, variables, X).shape


def test_each_layer_reads_the_one_below() -> None:
    params, states = shapes(Stack("elman", 4, 2))
    assert {name: layer["kernel"] for name, layer in params.items()} == {"layer0": (5, 4), "layer1": (4, 4)}
    assert states == (2, 3, 4)


def test_two_directions_share_the_features_and_both_are_read_above() -> None:
    params, states = shapes(Stack("elman", 4, 2, bidirectional=True))
    assert {name: {way: p["kernel"] for way, p in layer.items()} for name, layer in params.items()} == {
        "layer0": {"forward": (5, 2), "backward": (5, 2)}, "layer1": {"forward": (4, 2), "backward": (4, 2)},
    }  # fmt: skip
    assert states == (2, 3, 4)


def test_residual_layers_have_norms_and_all_of_the_features() -> None:
    params, states = shapes(Stack("elman", 4, 2, bidirectional=True, residual=True))
    assert set(params) == {"encoder", "norm0", "layer0", "norm1", "layer1"}
    assert params["encoder"]["kernel"] == (5, 4)
    assert states == (2, 3, 4)


def test_maps_go_through_a_stack_of_convolutional_cells_layer_by_layer() -> None:
    stack, cell = Stack("conv_lstm", 4, 2, bidirectional=True), make_layer("conv_lstm", 2)
    rng = np.random.default_rng(2)
    maps, mask = rng.standard_normal((2, 3, 4, 4, 1), np.float32), np.array([[True, True, False], [True, False, True]])
    params = jax.tree.map(lambda a: rng.standard_normal(a.shape, np.float32), jax.eval_shape(stack.init, jax.random.key(0), maps)["params"])

    @jax.jit
    def both(params: Any) -> Any:
        states = maps
        for layer in (params["layer0"], params["layer1"]):
            ways = [cell.apply({"params": layer[way]}, states, mask, reverse=way == "backward") for way in ("forward", "backward")]
            states = jnp.concatenate(ways, axis=-1)
        return stack.apply({"params": params}, maps, mask), states

    actual, expected = both(params)
    assert actual.shape == (2, 3, 4, 4, 4)
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_dropout_works_in_training_alone() -> None:
    stack = Stack("elman", 64, dropout=0.5)
    rng = np.random.default_rng(1)
    draw = lambda a: rng.standard_normal(a.shape, np.float32)  # noqa: E731
    variables = jax.tree.map(draw, jax.eval_shape(stack.init, jax.random.key(0), X))

    @jax.jit
    def three(key: Any) -> Any:
        plain = stack.apply(variables, X)
        return plain, stack.apply(variables, X, train=True, rngs={"dropout": key}), Stack("elman", 64).apply(variables, X)

    plain, dropped, without = three(jax.random.key(1))
    np.testing.assert_array_equal(plain, without)
    assert 0.4 < np.mean(dropped == 0) < 0.6
    np.testing.assert_allclose(dropped, jnp.where(dropped == 0, 0, 2 * plain), rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "contains"),
    [
        ({"layers": 0}, "a stack has 0 layers; possible: 1 to 256"),
        ({"layers": 10**9}, "a stack has 1000000000 layers; possible: 1 to 256"),  # at once
        ({"features": 0, "residual": True}, "have 0 features; possible: at least 1"),
        ({"features": 5, "bidirectional": True}, "have 5 features; possible: an even number of at least 2"),
        ({"features": 0, "bidirectional": True}, "have 0 features; possible: an even number of at least 2"),
        ({"dropout": 1.0}, "dropout (model.dropout) must be at least 0 and less than 1, got 1.0"),
        ({"dropout": -0.1}, "dropout (model.dropout) must be at least 0 and less than 1, got -0.1"),
        ({"dropout": float("nan")}, "dropout (model.dropout) must be at least 0 and less than 1, got nan"),
        ({"cell": "lsmt"}, "did you mean 'lstm'?"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any], contains: str) -> None:
    assert_refused(lambda: shapes(Stack(**{"cell": "elman", "features": 4, **fields})), contains)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layer", [lambda x: x[..., :2][:, 1:], lambda x: x[:1, :, :2], lambda x: x, lambda x: x[:, -1], lambda x: None])
def test_a_cell_that_does_not_return_a_state_for_each_step_is_refused(
    monkeypatch: pytest.MonkeyPatch, bidirectional: bool, layer: Any
) -> None:
    monkeypatch.setattr("imgloc.nn.stack.make_layer", lambda *_, **__: lambda x, *_, **__: layer(x))
    wrong = Stack("my.cell", 4 if bidirectional else 2, bidirectional=bidirectional)
    assert_refused(lambda: shapes(wrong), "cell 'my.cell' returns", "for a sequence (2, 3, 5); possible: states of shape (2, 3, 2)")
