"""A cell's text becomes its layer, and every mistake in it is told in one line."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc.config.registry import names
from imgloc.errors import UserError
from imgloc.nn import cell as layers
from imgloc.nn.cell import make_layer
from imgloc.nn.cells import gru, lru, lstm
from imgloc.nn.stack import Stack
from tests import processes
from tests.refusals import assert_refused

README = (processes.ROOT / "README.md").read_text()

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
    """A module of one's own with a cell, found from the folder that a command is run in."""
    folder = tmp_path / "cells_of_mine"
    folder.mkdir()
    (folder / "wide.py").write_text(OWN)
    (folder / "empty.py").write_text("")
    (folder / "broken.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("lstm", lstm.Layer(3)),
        (" lstm() ", lstm.Layer(3)),
        ("lstm(activation=relu, draw='matrix', forget_bias=2)", lstm.Layer(3, activation="relu", draw="matrix", forget_bias=2)),
        ("lru( ring = (0.5, .9), gated=False,form=associative,)", lru.Layer(3, ring=(0.5, 0.9), gated=False, form="associative")),
        ("gru", gru.Layer(3)),
        ("imgloc.nn.cells.lstm(forget_bias=-1.5)", lstm.Layer(3, forget_bias=-1.5)),
    ],
)
def test_a_text_names_a_cell_and_its_settings(cell: str, expected: Any) -> None:
    assert make_layer(cell, 3) == expected


def test_a_cell_of_ones_own_takes_what_its_defaults_say_nothing_of(own: None) -> None:
    made: Any = make_layer("cells_of_mine.wide(width=2, start=word, sizes=(1, 2, 3))", 3, name="mine")
    assert (made.features, made.width, made.start, made.sizes, made.name) == (3, 2, "word", (1, 2, 3), "mine")


def test_a_layer_of_ones_own_stands_for_its_name() -> None:
    relu = functools.partial(lstm.Layer, activation="relu")
    assert make_layer(relu, 3, name="mine") == make_layer("lstm(activation=relu)", 3, name="mine")
    by_name, itself = (jax.eval_shape(Stack(cell, 4, 2, bidirectional=True).init, jax.random.key(0), jnp.zeros((1, 2, 3)))
                       for cell in ("lstm(activation=relu)", relu))  # fmt: skip
    assert by_name == itself


def refused(cell: str, *contains: str) -> None:
    assert_refused(lambda: make_layer(cell, 3), *contains)


@pytest.mark.parametrize(
    ("cell", "contains"),
    [
        ("", "cell is ''; possible: conv_lstm, elman"),
        ("lsmt", "unknown cell 'lsmt'; did you mean 'lstm'?"),
        ("lsmt(activation=relu)", "unknown cell 'lsmt'; did you mean 'lstm'?"),
        ("LSTM", "unknown cell 'LSTM'"),
        ("my-cell", "unknown cell 'my-cell'"),
        ("3", "unknown cell '3'"),
        ("lstm[0]", "unknown cell 'lstm[0]'"),
        ("(lambda: lstm)()", "unknown cell"),
        ("gru()()", "unknown cell 'gru()'"),
        ("lstm.relu", "cannot import cell 'lstm.relu'"),
        ("cells_of_mine.empty", "cell 'cells_of_mine.empty' has no Layer"),
        ("cells_of_mine.broken", "ZeroDivisionError"),
        ("cells_of_mine.wide", "no default for its setting 'width'; possible: cells_of_mine.wide(width=...)"),
    ],
)
def test_what_is_no_cell_is_told(cell: str, contains: str, own: None) -> None:
    refused(cell, contains)


@pytest.mark.parametrize(
    "cell",
    ["lstm(", "lstm)", "lstm(activation=relu", "lstm(activation=)", "lstm(relu)", "lstm(*a)", "lstm(**a)", "lstm gru", "lstm(1x=2)",
     "lstm\n(draw=gate)", "\x00", "lstm(draw='gate)", "lstm(draw=gate); gru", "=", "lstm(" + "(" * 300, "x" * 100_000,
     "lstm(forget_bias=1if 2else 3)", "\U000e0001" * 400,  "lstm(draw='\ud800')"],
)  # fmt: skip
def test_what_is_no_text_of_a_cell_is_told(cell: str) -> None:
    refused(cell, f"possible: {', '.join(names(layers.ROOM))}, with settings as in lstm(activation=relu)")


@pytest.mark.parametrize(
    ("cell", "contains"),
    [
        ("lstm(activaton=relu)", "unknown setting of cell 'lstm' 'activaton'; did you mean 'activation'?"),
        ("gru(activation=relu)", "unknown setting of cell 'gru' 'activation'; possible: "),
        ("lstm(features=4)", "unknown setting of cell 'lstm' 'features'"),
        ("lstm(name=a)", "unknown setting of cell 'lstm' 'name'"),
        ("lstm(parent=1)", "unknown setting of cell 'lstm' 'parent'"),
        ("lstm(draw=gate, draw=matrix)", "setting 'draw' of cell 'lstm' is given twice"),
        ("lstm(activation=1)", "is 1; possible: something like 'tanh'"),
        ("lstm(forget_bias=high)", "is 'high'; possible: something like 1.0"),
        ("lstm(forget_bias=True)", "is True; possible: something like 1.0"),
        ("lstm(forget_bias=None)", "is None; possible: something like 1.0"),
        ("lstm(forget_bias=1e999)", "is inf; possible: something like 1.0"),
        ("lstm(forget_bias=1j)", "is 1j; possible: something like 1.0"),
        ("lru(gated=1)", "is 1; possible: something like True"),
        ("lru(gated=false)", "is 'false'; possible: something like True"),
        ("lru(states=2.0)", "is 2.0; possible: something like 0"),
        ("lru(states=" + "9" * 400 + ")", "possible: something like 0"),
        ("lru(ring=0.5)", "is 0.5; possible: something like (0.9, 0.999)"),
        ("lru(ring=(0.5, 0.6, 0.7))", "possible: something like (0.9, 0.999)"),
        ("lru(ring=(0.5,))", "possible: something like (0.9, 0.999)"),
        ("lru(ring=('a', 'b'))", "possible: something like (0.9, 0.999)"),
        ("lru(ring=(0.5, True))", "possible: something like (0.9, 0.999)"),
        ("lru(ring=(0.5, 1e999))", "possible: something like (0.9, 0.999)"),
        ("lru(ring=[0.5, 0.6])", "is [0.5, 0.6]; possible: something like (0.9, 0.999)"),
        ("lru(ring=(a, b))", "is (a, b); possible: a number, True or False, a word, or a tuple"),
        ("lstm(activation=relu())", "is relu(); possible: a number, True or False, a word"),
        ("lstm(activation=f'relu')", "possible: a number, True or False, a word"),
        ("lstm(activation=nn.relu)", "is nn.relu; possible: a number, True or False, a word"),
        ("lstm(forget_bias=1/2)", "is 1/2; possible: a number, True or False, a word"),
        ("lstm(forget_bias=" + "-" * 450 + "1)", "possible: a number, True or False, a word"),
        ("lstm(forget_bias={[]: 1})", "is {[]: 1}; possible: a number, True or False, a word"),
    ],
)
def test_settings_that_cannot_be_are_told(cell: str, contains: str) -> None:
    refused(cell, contains)


@pytest.mark.parametrize("features", [0, -3])
def test_a_cell_has_features(features: int) -> None:
    assert_refused(lambda: make_layer("gru", features), f"cell 'gru' has {features} features; possible: at least 1")


def shapes(cell: str, *shape: int) -> Any:
    return jax.eval_shape(make_layer(cell, 4).init, jax.random.key(0), jnp.zeros(shape))


@pytest.mark.parametrize(
    ("cell", "contains"),
    [
        ("elman(activation=relu6)", "unknown activation of a cell 'relu6'; did you mean 'relu'?"),
        ("lstm(draw=gates)", "did you mean 'gate'?"),
        ("lstm(form=jointed)", "unknown form of a recurrence 'jointed'; did you mean 'joined'?"),
        ("lru(form=associativ)", "unknown form of lru 'associativ'; did you mean 'associative'?"),
        ("lru(ring=(0.0, 0.5))", "possible: two radii above 0 and below 1, the smaller first"),
        ("lru(ring=(0.5, 1.0))", "possible: two radii"),
        ("lru(ring=(0.9, 0.99999999999))", "possible: two radii"),  # 1 in float32
        ("lru(ring=(0.9, 0.5))", "possible: two radii"),
        ("lru(ring=(-0.9, 0.5))", "possible: two radii"),
        ("lru(max_phase=1e-300)", "possible: above 1e-20"),
        ("lru(max_phase=0)", "possible: above 1e-20, up to 6.2831"),
        ("lru(max_phase=7)", "possible: above 1e-20, up to 6.2831"),
        ("lru(states=-1)", "possible: at least 1, or 0 for as many as features"),
        ("conv_lstm", "cell 'conv_lstm' got inputs of shape (1, 2, 3); possible: maps (b, t, h, w, c), or another cell"),
    ],
)
def test_settings_out_of_range_are_told_when_a_layer_is_applied(cell: str, contains: str) -> None:
    assert_refused(lambda: shapes(cell, 1, 2, 3), contains)


@pytest.mark.parametrize("cell", ["lstm", "lru"])
@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (2, 3), (2, 0, 3)])
def test_what_is_no_sequence_is_told(cell: str, shape: tuple[int, ...]) -> None:
    assert_refused(lambda: shapes(cell, *shape), f"got inputs of shape {shape}; possible: (b, t, f)")


@pytest.mark.parametrize("cell", ["gru", "lru"])
@pytest.mark.parametrize("mask", [(3, 2), (1, 3)])
def test_a_mask_of_other_steps_is_told(cell: str, mask: tuple[int, ...]) -> None:
    layer, x = make_layer(cell, 4), jnp.zeros((2, 3, 5))
    assert_refused(lambda: jax.eval_shape(layer.init, jax.random.key(0), x, jnp.ones(mask, bool)), f"with a mask of shape {mask}")


@pytest.mark.parametrize("size", [0, 2, -1])
def test_a_convolutional_kernel_has_a_middle(size: int) -> None:
    assert_refused(lambda: shapes(f"conv_lstm(kernel_size={size})", 1, 2, 3, 3, 1), f"is {size}; possible: an odd number, at least 1")


@given(st.text(max_size=30) | st.from_regex(r"(lstm|lru)\(([a-z]{1,4}=[\-0-9a-z'\"(),.\[\]{}:* ]{0,8},?){0,3}\)", fullmatch=True))
def test_any_text_at_all_is_a_layer_or_a_line(cell: str) -> None:
    try:
        layers.make_layer(cell, 2)
    except UserError:
        refused(cell)


def test_nothing_in_a_text_is_ever_run(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr("builtins.print", functools.partial(ran.append))
    for value in ("print('x')", "__import__('os')", "[print(a) for a in (1,)]", "(lambda: print(1))()", "f'{print(1)}'", "(x := print(1))"):
        refused(f"lstm(activation={value})", "setting 'activation' of cell 'lstm'")
        refused(f"{value}(draw=gate)", "cell")
    assert ran == []
