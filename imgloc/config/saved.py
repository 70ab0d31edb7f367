"""Configs that were saved in run folders and bundles: they are data, and import nothing that the user has not named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from imgloc.errors import UserError, printable

_allowed: set[str] = set()


def allow_imports(*names: str) -> None:
    """Let saved configs import these modules: recipes and flags name them, or the user (`--allow-import`)."""
    _allowed.update(names)


def dotted_names(values: Mapping[str, Any]) -> Iterator[str]:
    """Yields the modules outside imgloc that a config, as plain values, may import.

    These are all texts with a dot in `task`, `model`, `losses` and `data`, and the metrics, without the options of a source, which name
    files. Numbers and paths of weights are not modules: a name has letters, digits and _ between its dots.
    """
    sections = ("model", "data", "losses", "eval")
    model, data, losses, evaluation = (section if isinstance(section := values.get(key), Mapping) else {} for key in sections)
    weights = str(model.get("pretrained", "")).partition(":")[0]
    rest = {key: value for key, value in data.items() if key != "options"}
    for text in _texts([values.get("task"), weights, {**model, "pretrained": ""}, rest, losses, evaluation.get("metrics")]):
        if "." in text and all(part.isidentifier() for part in text.split(".")):
            yield text


def _texts(value: Any) -> Iterator[str]:
    """Yields every text within a plain value, except keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


def check_imports(values: Mapping[str, Any], where: str) -> None:
    """Raises UserError where a saved config, as plain values, names a module that the user has not named; nothing is imported."""
    for name in dotted_names(values):
        if name not in _allowed:
            raise UserError(
                f"'{where}' would import the module '{printable(name)}' ({_origin(name)}), whose code would be executed; "
                f"if you trust it, add --allow-import {printable(name)} (in Python: allow_imports=['{printable(name)}'])"
            )


def _origin(name: str) -> str:
    """Where a module would be imported from. Its packages are not imported, as importlib.util.find_spec would."""
    local = Path(*name.split("."))
    for path in (local.with_suffix(".py"), local / "__init__.py"):
        if path.is_file():
            return f"from '{printable(str(path.absolute()))}'"
    spec = PathFinder.find_spec(name.partition(".")[0])
    return f"from the installed '{printable(str(spec.origin))}'" if spec is not None and spec.origin else "which is not found now"
