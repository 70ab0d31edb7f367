"""A cell named in a config becomes a layer: `lstm`, or with settings, `lstm(activation=relu, draw=matrix)`."""

from __future__ import annotations

import ast
import dataclasses
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
from flax import linen as nn

from imgloc.config.registry import find, names
from imgloc.errors import UserError, unknown

ROOM = "nn.cells"
HANDED_OVER = ("features", "parent", "name")  # fields that the caller sets
MOST_LAYERS = 256  # on each other: building thousands of them takes hours
Cell: TypeAlias = str | Callable[..., nn.Module]  # the text of a cell, or a Layer of one's own (or a partial of one)
LONGEST = 500  # characters of a cell's text
LARGEST = 1e6  # number in it, either sign


def make_layer(cell: Cell, features: int, *, name: str | None = None) -> nn.Module:
    """The layer of a cell: (x_bxtxf, mask_bxt=None, *, reverse=False) -> states (b, t, features).

    `cell` names a file of `imgloc.nn.cells`, or a dotted module of one's own with a Layer, and in brackets some of its
    Layer's fields: numbers, True or False, tuples of these, and words with or without quotes. Raises UserError for all else.
    In a program it may be a Layer itself, or what makes one of `features` and `name`.
    """
    if not isinstance(cell, str):
        return cell(features=features, name=name)
    module, settings = _read(cell)
    if features < 1:
        raise UserError(f"cell '{module}' has {features} features; possible: at least 1")
    layer = getattr(find(ROOM, module), "Layer", None)
    if not callable(layer):
        raise UserError(f"cell '{module}' has no Layer; see README, Add your own")
    if dataclasses.is_dataclass(layer):
        _check(module, layer, settings)
    made: nn.Module = layer(features=features, name=name, **settings)
    return made


def check_layers(layers: int) -> None:
    """Raises UserError for a number of layers on each other that is none, or takes forever to build."""
    if not 1 <= layers <= MOST_LAYERS:
        raise UserError(f"a stack has {layers} layers; possible: 1 to {MOST_LAYERS}")


def check_states(cell: Cell, states_bxtxd: jax.Array, x_bxtxf: jax.Array, features: int) -> jax.Array:
    """What a cell's layer made of a sequence. Raises UserError where that is no state (features,) of each step, of maps each place."""
    wanted = (*x_bxtxf.shape[:-1], features)
    shape = getattr(states_bxtxd, "shape", None)
    if shape != wanted:
        got = type(states_bxtxd).__name__ if shape is None else f"an array of shape {shape}"
        raise UserError(f"cell '{cell}' makes {got} of a sequence {x_bxtxf.shape}; possible: states of shape {wanted}")
    return states_bxtxd


def _read(cell: str) -> tuple[str, dict[str, Any]]:
    """The module and the settings that the text of a cell names."""
    wrong = UserError(f"cell is {cell[:80]!r}; possible: {', '.join(names(ROOM))}, with settings as in lstm(activation=relu)")
    if len(cell) > LONGEST or not cell.isprintable():
        raise wrong
    try:
        with warnings.catch_warnings(action="error"):  # Python's, of what it may one day not read; as a SyntaxError here
            tree = ast.parse(text := cell.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise wrong from None
    if not isinstance(tree, ast.Call):
        return text, {}
    if tree.args or any(keyword.arg is None for keyword in tree.keywords):
        raise wrong
    module, settings = ast.get_source_segment(text, tree.func) or "", {}
    for keyword in tree.keywords:
        key = str(keyword.arg)
        if key in settings:
            raise UserError(f"setting '{key}' of cell '{module}' is given twice; possible: once")
        try:
            settings[key] = keyword.value.id if isinstance(keyword.value, ast.Name) else ast.literal_eval(keyword.value)
        except (ValueError, TypeError, RecursionError):
            got, kinds = ast.get_source_segment(text, keyword.value), "a number, True or False, a word, or a tuple of these"
            raise UserError(f"setting '{key}' of cell '{module}' is {got}; possible: {kinds}") from None
    return module, settings


def _check(module: str, layer: Any, settings: dict[str, Any]) -> None:
    """Refuse settings that are no fields of the layer, or of another type than the field's default, and fields left without a value."""
    fields = {field.name: field for field in dataclasses.fields(layer) if field.init and field.name not in HANDED_OVER}
    for key, value in settings.items():
        if key not in fields:
            raise unknown(f"setting of cell '{module}'", key, fields)
        default = fields[key].default
        if not _fits(value, default):
            raise UserError(f"setting '{key}' of cell '{module}' is {value!r}; possible: something like {default!r}")
    for key, field in fields.items():
        if key not in settings and field.default is field.default_factory is dataclasses.MISSING:
            raise UserError(f"cell '{module}' has no default for its setting '{key}'; possible: {module}({key}=...)")


def _fits(value: Any, default: Any) -> bool:
    """Whether a value is of a default's type, its numbers finite; an int serves as a float. Other defaults say nothing about values."""
    if not isinstance(default, (bool, int, float, str, tuple)):
        return True
    if isinstance(default, tuple):
        return isinstance(value, tuple) and len(value) == len(default) and all(map(_fits, value, default))
    if isinstance(value, (int, float)) and not abs(value) <= LARGEST:
        return False
    if isinstance(default, bool) or isinstance(value, bool):
        return type(value) is type(default)
    return isinstance(value, (int, float) if isinstance(default, float) else type(default))
