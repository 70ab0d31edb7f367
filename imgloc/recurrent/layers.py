"""A cell named in a config becomes a layer: `lstm`, or with settings, `lstm(activation=relu, draw=matrix)`."""

from __future__ import annotations

import ast
import dataclasses
from typing import Any

from flax import linen as nn

from imgloc.errors import UserError, unknown
from imgloc.names import find

ROOM = "recurrent.cells"
HANDED_OVER = ("features", "parent", "name")  # fields that the caller sets


def make_layer(cell: str, features: int, *, name: str | None = None) -> nn.Module:
    """The layer of a cell: (x_bxtxf, mask_bxt=None, *, reverse=False) -> states (b, t, features).

    `cell` names a file of `imgloc.recurrent.cells`, or a dotted module of one's own with a Layer, and in brackets some of its
    Layer's fields: numbers, True or False, tuples of these, and words with or without quotes. Raises UserError for all else.
    """
    module, settings = _read(cell)
    layer = getattr(find(ROOM, module), "Layer", None)
    if not callable(layer):
        raise UserError(f"cell '{module}' has no Layer; see README, Add your own")
    if dataclasses.is_dataclass(layer):
        _check(module, layer, settings)
    made: nn.Module = layer(features=features, name=name, **settings)
    return made


def _read(cell: str) -> tuple[str, dict[str, Any]]:
    """The module and the settings that the text of a cell names."""
    wrong = UserError(f"cell is '{cell}'; possible: a name, or a name with settings such as lstm(activation=relu)")
    try:
        tree = ast.parse(cell.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise wrong from None
    if not isinstance(tree, ast.Call):
        return cell.strip(), {}
    if tree.args or any(keyword.arg is None for keyword in tree.keywords):
        raise wrong
    try:
        return ast.unparse(tree.func), {str(keyword.arg): _value(keyword.value) for keyword in tree.keywords}
    except (ValueError, RecursionError):
        raise wrong from None


def _value(node: ast.expr) -> Any:
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)


def _check(module: str, layer: Any, settings: dict[str, Any]) -> None:
    """Refuse settings that are no fields of the layer, or of another type than the field's default."""
    defaults = {field.name: field.default for field in dataclasses.fields(layer) if field.name not in HANDED_OVER}
    for key, value in settings.items():
        if key not in defaults:
            raise unknown(f"setting of cell '{module}'", key, defaults)
        default = defaults[key]
        kinds = (int, float) if isinstance(default, float) else type(default)
        tuple_of_numbers = not isinstance(default, tuple) or len(value) == len(default) if isinstance(value, tuple) else True
        if not isinstance(value, kinds) or (isinstance(value, bool) and not isinstance(default, bool)) or not tuple_of_numbers:
            raise UserError(f"setting '{key}' of cell '{module}' is {value!r}; possible: something like {default!r}")
