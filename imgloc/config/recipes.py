"""Recipes: Python files whose `get_config()` returns a config, and whose `sweep()` yields overrides of it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

from ml_collections import ConfigDict

from imgloc.errors import UserError, closest, nearest_names, reason, unknown

PACKAGE = Path(__file__).parents[1]
NAME = re.compile("[a-z0-9_]+")


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with imgloc, by name: `imgloc/configs` of a wheel, `configs` of a checkout."""
    inside = PACKAGE / "configs"
    folder = inside if inside.is_dir() else PACKAGE.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def find_recipe(name_or_path: str) -> Path:
    """Return the file of a recipe, given its path or the name of a shipped recipe. An existing file takes precedence.

    Raises UserError, with the nearest names, if there is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = shipped_recipes()
    if NAME.fullmatch(name_or_path):
        if name_or_path not in shipped:
            raise unknown("recipe", name_or_path, shipped)
        return shipped[name_or_path]
    beside = {file.stem: str(file) for file in sorted(path.parent.glob("*.py"))}
    near = beside.get(closest(path.stem, list(beside))) or closest(path.stem, list(shipped))
    hint = f"did you mean '{near}'? " if near else ""
    possible = f"a Python file with get_config(), or one of {nearest_names(path.stem, shipped)}"
    raise UserError(f"no recipe file '{name_or_path}'; {hint}possible: {possible}")


def load_recipe(recipe: str) -> ModuleType:
    """Return the module of a recipe, given its path or name; each call executes the file. Raises UserError where that fails."""
    return execute_file(find_recipe(recipe), "recipe", recipe)


def execute_file(path: Path, what: str, name: str = "") -> ModuleType:
    """Return the module of a Python file, which is executed. `what` it is, and its name, are for messages (UserError)."""
    name = name or str(path)
    spec = importlib.util.spec_from_file_location(f"imgloc_{what}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{what} '{name}' is not a Python file; expected a file NAME.py with get_config()")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(f"{what} '{name}' cannot be executed: {reason(error)}; correct the file") from error
    return module


def read_recipe(recipe: str) -> ConfigDict:
    """Return the config that `get_config()` of a recipe returns, given its path or name. Raises UserError where that fails."""
    module = load_recipe(recipe)
    if not hasattr(module, "get_config"):
        raise UserError(f"recipe '{recipe}' has no get_config(); add a function get_config() that returns an ml_collections ConfigDict")
    try:
        config = module.get_config()
    except (Exception, SystemExit) as error:
        raise UserError(f"get_config() of '{recipe}' fails: {reason(error)}; correct the file") from error
    if not isinstance(config, ConfigDict):
        raise UserError(f"get_config() of '{recipe}' returns {type(config).__name__}; possible: an ml_collections ConfigDict")
    return config
