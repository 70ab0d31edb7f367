"""Cells by name, with settings or as a Layer become layers; every mistake is reported in one line."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax.core import freeze
from hypothesis import given
from hypothesis import strategies as st

from imgloc.config.registry import names
from imgloc.errors import UserError
from imgloc.nn.cell import cell_name, make_layer
from imgloc.nn.cells import gru, lru, lstm
from imgloc.nn.stack import Stack
from tests.refusals import assert_refused

OWN = """
import dataclasses
from flax import linen as nn
class Layer(nn.Module):
    features: int
    width: int
    start: float | None = None
    sizes: tuple[int, ...] = dataclasses.field(default_factory=tuple)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of modules, one of which has a cell."""
    folder = tmp_path / "cells_of_mine"
    folder.mkdir()
    (folder / "wide.py").write_text(OWN)
    (folder / "empty.py").write_text("")
    (folder / "function.py").write_text("def Layer(features): ...")
    (folder / "broken.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("lstm", lstm.Layer(3)),
        ("gru", gru.Layer(3)),
        ({"name": "lstm"}, lstm.Layer(3)),
        (
            {"name": "lstm", "activation": "relu", "kernel_init": "joint", "forget_bias": 2},
            lstm.Layer(3, activation="relu", kernel_init="joint", forget_bias=2),
        ),
        (
            freeze({"name": "lru", "ring": (0.5, 0.9), "gated": False, "form": "associative"}),
            lru.Layer(3, ring=(0.5, 0.9), gated=False, form="associative"),
        ),
        ({"forget_bias": -1.5, "name": "imgloc.nn.cells.lstm"}, lstm.Layer(3, forget_bias=-1.5)),
    ],
)
def test_a_cell_is_a_name_and_settings(cell: Any, expected: Any) -> None:
    assert make_layer(cell, 3) == expected


def test_making_a_layer_leaves_the_mapping_unchanged() -> None:
    cell = {"name": "lstm", "activation": "relu"}
    make_layer(cell, 3)
    assert cell == {"name": "lstm", "activation": "relu"}


def test_defaults_of_other_types_do_not_restrict_a_setting(own: None) -> None:
    layer: Any = make_layer({"name": "cells_of_mine.wide", "width": 2, "start": "word", "sizes": (1, 2, 3)}, 3, name="mine")
    assert (layer.features, layer.width, layer.start, layer.name) == (3, 2, "word", "mine")
    assert layer.sizes == (1, 2, 3)


def test_a_layer_class_or_a_partial_of_it_is_a_cell() -> None:
    relu = functools.partial(lstm.Layer, activation="relu")
    named = {"name": "lstm", "activation": "relu"}
    assert make_layer(lstm.Layer, 3) == make_layer("lstm", 3)
    assert make_layer(relu, 3, name="mine") == make_layer(named, 3, name="mine")
    by_name, itself = (jax.eval_shape(Stack(cell, 4, 2, bidirectional=True).init, jax.random.key(0), jnp.zeros((1, 2, 3)))
                       for cell in (named, relu))  # fmt: skip
    assert by_name == itself


def test_the_name_of_a_cell_for_messages() -> None:
    assert [cell_name(cell) for cell in ("gru", {"name": "gru", "update_bias": 1.0}, {"name": ""}, {})] == ["gru", "gru", "", ""]
    assert "lstm" in cell_name(lstm.Layer)


def test_a_module_with_settings_of_a_cell_is_hashable() -> None:
    stacks = [Stack({"name": "lstm", "activation": activation}, 4) for activation in ("relu", "relu", "tanh")]
    assert hash(stacks[0]) == hash(stacks[1])
    assert stacks[0] == stacks[1] != stacks[2]


def refused(cell: Any, *contains: str) -> None:
    assert_refused(lambda: make_layer(cell, 3), *contains)


@pytest.mark.parametrize(
    ("cell", "contains"),
    [
        ("", "unknown cell ''; possible: conv_lstm, elman"),
        ({}, "unknown cell ''; possible: conv_lstm, elman"),
        ({"activation": "relu"}, "unknown cell ''"),
        ("lsmt", "unknown cell 'lsmt'; did you mean 'lstm'?"),
        ({"name": "lsmt", "activation": "relu"}, "unknown cell 'lsmt'; did you mean 'lstm'?"),
        ("LSTM", "unknown cell 'LSTM'"),
        ("lstm()", "unknown cell 'lstm()'"),
        ("lstm(activation=relu)", "unknown cell 'lstm(activation=relu)'"),
        ("my-cell", "unknown cell 'my-cell'"),
        ({"name": 3}, "model.cell.name"),
        ({"name": None}, "model.cell.name"),
        ("\x00", "unknown cell"),
        ("lstm\n", "unknown cell"),
        ("x" * 100_000, "unknown cell"),
        ("lstm.relu", "cannot import cell 'lstm.relu'"),
        ("cells_of_mine.empty", "cell 'cells_of_mine.empty' has no Layer"),
        ("cells_of_mine.function", "the Layer of cell 'cells_of_mine.function' is not a flax.linen Module"),
        ("cells_of_mine.broken", "ZeroDivisionError"),
        ("cells_of_mine.wide", "setting 'width' of cell 'cells_of_mine.wide' has no default; set it"),
    ],
)
def test_unknown_cells_are_refused(cell: Any, contains: str, own: None) -> None:
    refused(cell, contains)


def test_a_refusal_lists_every_cell() -> None:
    refused("cell", f"possible: {', '.join(names('nn.cells'))}")


@pytest.mark.parametrize(
    ("name", "key", "value", "contains"),
    [
        ("lstm", "activaton", "relu", "unknown setting of cell 'lstm' 'activaton'; did you mean 'activation'?"),
        ("gru", "activation", "relu", "unknown setting of cell 'gru' 'activation'; possible: "),
        ("lstm", "features", 4, "unknown setting of cell 'lstm' 'features'"),
        ("lstm", "parent", 1, "unknown setting of cell 'lstm' 'parent'"),
        ("lstm", "activation", 1, "model.cell.activation"),
        ("lstm", "forget_bias", "high", "model.cell.forget_bias"),
        ("lstm", "forget_bias", True, "model.cell.forget_bias"),
        ("lstm", "forget_bias", None, "model.cell.forget_bias"),
        ("lstm", "forget_bias", float("inf"), "model.cell.forget_bias"),
        ("lstm", "forget_bias", float("nan"), "model.cell.forget_bias"),
        ("lstm", "forget_bias", 1j, "model.cell.forget_bias"),
        ("lru", "gated", 1, "model.cell.gated"),
        ("lru", "gated", "false", "model.cell.gated"),
        ("lru", "state_size", 2.0, "model.cell.state_size"),
        ("lru", "state_size", 10**400, "setting 'state_size' of cell 'lru' is too large"),
        ("lru", "ring", 0.5, "model.cell.ring"),
        ("lru", "ring", ("a", "b"), "model.cell.ring"),
        ("lru", "ring", (0.5, True), "model.cell.ring"),
        ("lru", "ring", (0.5, float("inf")), "model.cell.ring"),
    ],
)
def test_unknown_settings_and_wrong_types_are_refused(name: str, key: str, value: Any, contains: str) -> None:
    refused({"name": name, key: value}, contains)


@pytest.mark.parametrize("features", [0, -3])
def test_a_cell_has_at_least_one_feature(features: int) -> None:
    assert_refused(lambda: make_layer("gru", features), f"cell 'gru' has {features} features; possible: at least 1")


def shapes(cell: Any, *shape: int) -> Any:
    return jax.eval_shape(make_layer(cell, 4).init, jax.random.key(0), jnp.zeros(shape))


@pytest.mark.parametrize(
    ("cell", "contains"),
    [
        ({"name": "elman", "activation": "relu6"}, "unknown activation of a cell 'relu6'; did you mean 'relu'?"),
        ({"name": "lstm", "kernel_init": "per_gates"}, "did you mean 'per_gate'?"),
        ({"name": "lstm", "form": "jointed"}, "unknown form of a recurrence 'jointed'; did you mean 'joined'?"),
        ({"name": "lru", "form": "associativ"}, "unknown form of lru 'associativ'; did you mean 'associative'?"),
        ({"name": "lru", "ring": (0.0, 0.5)}, "possible: two radii above 0 and below 1, the smaller first"),
        ({"name": "lru", "ring": (0.5, 1.0)}, "possible: two radii"),
        ({"name": "lru", "ring": (0.9, 0.99999999999)}, "possible: two radii"),  # 1 in float32
        ({"name": "lru", "ring": (0.9, 0.5)}, "possible: two radii"),
        ({"name": "lru", "ring": (-0.9, 0.5)}, "possible: two radii"),
        ({"name": "lru", "ring": (0.5, 0.6, 0.7)}, "possible: two radii"),
        ({"name": "lru", "ring": (0.5,)}, "possible: two radii"),
        ({"name": "lru", "max_phase": 1e-300}, "possible: above 1e-20"),
        ({"name": "lru", "max_phase": 0}, "possible: above 1e-20, up to 6.2831"),
        ({"name": "lru", "max_phase": 7}, "possible: above 1e-20, up to 6.2831"),
        ({"name": "lru", "state_size": -1}, "possible: at least 1, or 0 for as many as features"),
        ("conv_lstm", "cell 'conv_lstm' got inputs of shape (1, 2, 3); possible: maps (b, t, h, w, c), or another cell"),
    ],
)
def test_settings_out_of_range_are_refused_when_a_layer_is_applied(cell: Any, contains: str) -> None:
    assert_refused(lambda: shapes(cell, 1, 2, 3), contains)


@pytest.mark.parametrize("cell", ["lstm", "lru"])
@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (2, 3), (2, 0, 3)])
def test_inputs_that_are_not_a_sequence_are_refused(cell: str, shape: tuple[int, ...]) -> None:
    assert_refused(lambda: shapes(cell, *shape), f"got inputs of shape {shape}; expected inputs (b, t, f)")


@pytest.mark.parametrize("cell", ["gru", "lru"])
@pytest.mark.parametrize("mask", [(3, 2), (1, 3)])
def test_a_mask_of_another_shape_is_refused(cell: str, mask: tuple[int, ...]) -> None:
    layer, x = make_layer(cell, 4), jnp.zeros((2, 3, 5))
    assert_refused(lambda: jax.eval_shape(layer.init, jax.random.key(0), x, jnp.ones(mask, bool)), f"with a mask of shape {mask}")


@pytest.mark.parametrize("size", [0, 2, -1])
def test_a_convolutional_kernel_has_an_odd_size(size: int) -> None:
    cell = {"name": "conv_lstm", "kernel_size": size}
    assert_refused(lambda: shapes(cell, 1, 2, 3, 3, 1), f"is {size}; possible: an odd number, at least 1")


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.tuples(st.floats(), st.floats())


@given(cell=st.text(max_size=30) | st.dictionaries(st.sampled_from(["name", "ring", "activation", "x"]), values | st.just("lru")))
def test_any_cell_is_a_layer_or_refused_in_one_line(cell: Any) -> None:
    try:
        make_layer(cell, 2)
    except UserError:
        refused(cell)
