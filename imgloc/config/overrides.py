"""`--config.KEY=VALUE` on a command line: the flags of ml_collections, with errors of one line."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from imgloc.config.renames import unknown_name
from imgloc.config.schema import copied, leaves
from imgloc.errors import UserError, one_line


def apply_flags(config: ConfigDict, arguments: Sequence[str]) -> ConfigDict:
    """The config with `--config.KEY=VALUE` arguments applied.

    Raises UserError for unknown keys, values of a wrong type, and other arguments.
    """
    for argument in arguments:
        if argument.startswith("-") and not argument.startswith("--config."):
            raise UserError(f"unknown option '{argument}'; possible: --config.KEY=VALUE, and the options that --help lists")
    config = copied(config)  # the flags change it in place
    for name in override_keys(arguments):
        _check_path(config, name)
    values = flags.FlagValues()
    argv = ["imgloc", *arguments]
    try:
        with _quiet_absl():
            config_flags.DEFINE_config_dict("config", config, lock_config=True, flag_values=values, sys_argv=argv)
            rest = values(argv)[1:]
    except flags.IllegalFlagValueError as error:
        key, _, got = one_line(error).removeprefix("flag --config.").partition("=")
        got = re.split(": (?:invalid literal|could not convert)", got, maxsplit=1)[0]  # what Python adds is of no use here
        default = functools.reduce(getattr, key.split("."), config)
        raise UserError(f"{key} must be of type {type(default).__name__}, such as {default!r}, got {got}") from error
    except (flags.Error, TypeError, ValueError, KeyError, AttributeError) as error:
        raise UserError(one_line(error)) from error
    if rest:
        raise UserError(f"unexpected argument '{rest[0]}'; possible: --config.KEY=VALUE")
    return copied(config)  # the flags have locked it


def override_keys(arguments: Sequence[str]) -> list[str]:
    """The dotted keys of `--config.KEY=VALUE` arguments."""
    return [a.split("=", 1)[0].removeprefix("--config.") for a in arguments if a.startswith("--config.")]


def as_arguments(overrides: Mapping[str, Any]) -> list[str]:
    """Overrides by dotted key, or by section as dicts, as `--config.KEY=VALUE` arguments."""
    return [f"--config.{key}={value if isinstance(value, str) else repr(value)}" for key, value in flat(overrides).items()]


def flat(overrides: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Overrides by dotted key: `{"train": {"steps": 10}}` is `{"train.steps": 10}`. Values are plain; see `plain`.

    Raises UserError for a key that is not a dotted name.
    """
    values: dict[str, Any] = {}
    for key, value in overrides.items():
        if not isinstance(key, str) or not all(part.isidentifier() for part in key.split(".")):
            raise UserError(f"key {key!r} is not a dotted name such as 'optim.lr'")
        values |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": plain(value)}
    return values


def plain(value: Any) -> Any:
    """A value with scalars of NumPy and JAX as Python numbers, lists as tuples, and paths as text."""
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def flag_value(arguments: Sequence[str], key: str) -> str | None:
    """The last value of a key in arguments, as text; None where they do not set it."""
    value = None
    for i, argument in enumerate(arguments):
        if argument == f"--config.{key}" and i + 1 < len(arguments):
            value = arguments[i + 1]
        elif argument.startswith(f"--config.{key}="):
            value = argument.split("=", 1)[1]
    return value


def _check_path(config: ConfigDict, key: str) -> None:
    section: Any = config
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if part not in section:
            raise unknown_name("config key", key, leaves(config) if depth == 0 else [".".join([*parts[:depth], k]) for k in section])
        section = section[part]
        if depth + 1 < len(parts) and not isinstance(section, ConfigDict):
            raise UserError(f"{'.'.join(parts[: depth + 1])} is a value, not a section; it has no key '{parts[depth + 1]}'")
    if isinstance(section, ConfigDict):
        raise UserError(f"{key} is a section; possible: {', '.join(f'{key}.{name}' for name in section)}")


@contextlib.contextmanager
def _quiet_absl() -> Iterator[None]:
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
