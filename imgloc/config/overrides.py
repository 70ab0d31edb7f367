"""`--config.key=value` on a command line: ml_collections' flags, with our one-line refusals."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from imgloc.config.renames import unknown
from imgloc.config.schema import copied, leaves
from imgloc.errors import UserError, one_line


def apply_flags(config: ConfigDict, arguments: Sequence[str]) -> ConfigDict:
    """The config with `--config.key=value` arguments applied, by ml_collections' flags.

    Raises UserError for unknown keys, wrong types and anything that is not such a flag.
    """
    for argument in arguments:
        if argument.startswith("-") and not argument.startswith("--config."):
            raise UserError(f"unknown option '{argument}'; possible: --config.KEY=VALUE, and those of --help")
    config = copied(config)  # flags change it in place
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
        default = functools.reduce(getattr, key.split("."), config)
        raise UserError(f"config key '{key}' wants {type(default).__name__} such as {default!r}; got {got}") from error
    except (flags.Error, TypeError, ValueError, KeyError, AttributeError) as error:
        raise UserError(one_line(error)) from error
    if rest:
        raise UserError(f"unexpected argument '{rest[0]}'; possible: --config.KEY=VALUE")
    return copied(config)  # flags lock theirs


def override_keys(arguments: Sequence[str]) -> list[str]:
    """The dotted keys that `--config.key=value` arguments name."""
    return [a.split("=", 1)[0].removeprefix("--config.") for a in arguments if a.startswith("--config.")]


def flag_value(arguments: Sequence[str], key: str) -> str | None:
    """The last value that arguments give to a key, as text, before any parsing."""
    found = None
    for i, argument in enumerate(arguments):
        if argument == f"--config.{key}" and i + 1 < len(arguments):
            found = arguments[i + 1]
        elif argument.startswith(f"--config.{key}="):
            found = argument.split("=", 1)[1]
    return found


def _check_path(config: ConfigDict, key: str) -> None:
    section: Any = config
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if part not in section:
            raise unknown("config key", key, leaves(config) if depth == 0 else [".".join([*parts[:depth], k]) for k in section])
        section = section[part]
        if depth + 1 < len(parts) and not isinstance(section, ConfigDict):
            raise UserError(f"config key '{'.'.join(parts[: depth + 1])}' is a value, it has no '{parts[depth + 1]}'")
    if isinstance(section, ConfigDict):
        raise UserError(f"config key '{key}' is a section; possible: {', '.join(f'{key}.{name}' for name in section)}")


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
