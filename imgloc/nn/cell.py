"""Recurrent layers, selected by the name of their cell, with or without settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
from flax import linen as nn
from flax.core import freeze

from imgloc.config.model_sections import part_class, part_settings
from imgloc.config.schema import check_type
from imgloc.errors import UserError, unknown

#: {"name": "lstm", "activation": "relu"}: a cell and settings of its Layer; or its name alone; or a Layer class (or a partial of one).
Cell: TypeAlias = Mapping[str, Any] | str | Callable[..., nn.Module]
#: Cells of linen by name, for models that call a cell step by step because its next input depends on its state.
STEP_CELLS: Mapping[str, Callable[..., nn.RNNCellBase]] = {"lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell, "minimal_gru": nn.MGUCell}
MAX_LAYERS = 256  # in a stack: more take hours to build
LARGEST = 1e6  # absolute value of a setting


def make_layer(cell: Cell, features: int, *, name: str | None = None) -> nn.Module:
    """Returns the layer of a cell: `(x_bxtxf, mask_bxt=None, *, reverse=False) -> states` (b, t, features).

    The name of a cell is a file of imgloc/nn/cells, or a dotted module that has a Layer; settings are fields of that Layer.
    Raises UserError for an unknown cell or setting, and for a setting of a wrong type.
    """
    if callable(cell):
        return cell(features=features, name=name)
    settings = {"name": cell} if isinstance(cell, str) else dict(cell)
    kind = settings.pop("name", "")
    layer, defaults = part_class("cell", kind), part_settings("cell", kind)
    for key, value in settings.items():
        _check_setting(kind, key, value, defaults)
    for key, default in defaults.items():
        if key not in settings and default is dataclasses.MISSING:
            raise UserError(f"setting '{key}' of cell '{kind}' has no default; set it")
    if features < 1:
        raise UserError(f"cell '{kind}' has {features} features; possible: at least 1")
    return layer(features=features, name=name, **settings)


def _check_setting(kind: str, key: str, value: object, defaults: Mapping[str, object]) -> None:
    if key not in defaults:
        raise unknown(f"setting of cell '{kind}'", key, defaults)
    if isinstance(defaults[key], (bool, int, float, str, tuple)) and defaults[key] != ():  # other defaults do not determine the type
        check_type(f"model.cell.{key}", value, defaults[key])
    if isinstance(value, (int, float)) and not abs(value) <= LARGEST:
        raise UserError(f"setting '{key}' of cell '{kind}' is too large; possible: up to {LARGEST:.0f}")


def freeze_cell(cell: Cell) -> Cell:
    """Returns the cell with its settings in a FrozenDict, so that a module with it as a field is hashable, as `jax.jit` requires."""
    return freeze(dict(cell)) if isinstance(cell, Mapping) else cell


def cell_name(cell: Cell) -> str:
    """Returns the name of a cell for messages; it is empty where a config names none."""
    if isinstance(cell, Mapping):
        return str(cell.get("name", ""))
    return cell if isinstance(cell, str) else repr(cell)


def check_layers(layers: int) -> None:
    """Raises UserError for a number of stacked layers outside 1 to MAX_LAYERS."""
    if not 1 <= layers <= MAX_LAYERS:
        raise UserError(f"a stack has {layers} layers; possible: 1 to {MAX_LAYERS}")


def check_states(cell: Cell, states_bxtxd: jax.Array, x_bxtxf: jax.Array, features: int) -> jax.Array:
    """Returns the states of a cell's layer. Raises UserError unless they have the shape of the inputs with `features` channels."""
    expected = (*x_bxtxf.shape[:-1], features)
    shape = getattr(states_bxtxd, "shape", None)
    if shape != expected:
        got = type(states_bxtxd).__name__ if shape is None else f"an array of shape {shape}"
        raise UserError(f"cell '{cell_name(cell)}' returns {got} for a sequence {x_bxtxf.shape}; possible: states of shape {expected}")
    return states_bxtxd
