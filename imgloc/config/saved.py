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
    """Yields the modules outside imgloc that a config, as plain values, names in any of its sections."""
    sections = ("model", "data", "losses", "eval")
    model, data, losses, evaluation = (section if isinstance(section := values.get(key), Mapping) else {} for key in sections)
    entries: list[object] = [values.get("task"), model, model.get("cell"), data.get("source"), data.get("augment"), *losses.values()]
    transforms = data.get("batch_transforms")
    for several in (transforms, evaluation.get("metrics")):
        entries += several if isinstance(several, (list, tuple)) else []
    for entry in entries:
        name = entry.get("name") if isinstance(entry, Mapping) else entry
        if isinstance(name, str) and "." in name:
            yield name


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
