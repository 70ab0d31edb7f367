"""Recipes: Python files whose `get_config()` returns a config, and whose `sweep()` yields overrides of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from ml_collections import ConfigDict

from imgloc.errors import UserError, reason


def load_recipe(path: str) -> ModuleType:
    """The module of a recipe file, executed at each call. Raises UserError where that fails."""
    location = Path(path)
    if not location.is_file():
        near = sorted(str(p) for p in Path(location.parent).glob("*.py")) if location.parent.is_dir() else []
        raise UserError(f"no config file '{path}'; possible: {', '.join(near) or 'a file with get_config(), see configs/'}")
    spec = importlib.util.spec_from_file_location(f"imgloc_recipe_{location.stem}", location)
    if spec is None or spec.loader is None:
        raise UserError(f"'{path}' is not a Python file; possible: a file with get_config(), see configs/")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(f"config file '{path}' cannot be executed: {reason(error)}") from error
    return module


def read_recipe(path: str) -> ConfigDict:
    """The config that `get_config()` of a recipe file returns. Raises UserError where that fails."""
    module = load_recipe(path)
    if not hasattr(module, "get_config"):
        raise UserError(f"config file '{path}' has no get_config()")
    try:
        config = module.get_config()
    except (Exception, SystemExit) as error:
        raise UserError(f"get_config() of '{path}' fails: {reason(error)}") from error
    if not isinstance(config, ConfigDict):
        raise UserError(f"get_config() of '{path}' returns {type(config).__name__}; possible: an ml_collections ConfigDict")
    return config
