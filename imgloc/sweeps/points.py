"""The points of a sweep: the overrides that `sweep()` of a recipe yields, each as a complete, checked config with a name.

    def sweep():
        for lr in (1e-3, 3e-3):
            for seed in range(3):
                yield {"optim.lr": lr, "seed": seed}

A point has the config of `imgloc train` with its values as `--config.KEY=VALUE`, so each can be reproduced by hand.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_collections import ConfigDict

from imgloc.config import schema as configs
from imgloc.config.overrides import as_arguments, flat, override_keys, plain
from imgloc.config.recipes import load_recipe
from imgloc.config.resolve import override_values, resolve_from_data
from imgloc.errors import UserError, reason
from imgloc.evaluation.target import after_training, open_target

MAX_POINTS = 10_000  # more points come from a generator that does not end
MAX_NAME_LENGTH = 100  # characters; file systems accept 255 bytes
EXAMPLE = '{"optim.lr": 1e-3, "seed": 0}'


@dataclass(frozen=True)
class Point:
    """One run of a sweep."""

    overrides: Mapping[str, Any]
    arguments: tuple[str, ...]  # --config.KEY=VALUE of the command, then of the point
    config: ConfigDict  # complete
    identity: str  # fingerprint of the config
    name: str  # of its folder
    title: str  # number and overrides, for messages


def read_sweep(path: str) -> list[object]:
    """Return what `sweep()` of a recipe file yields, in order. Raises UserError where it does not exist or fails."""
    sweep = getattr(load_recipe(path), "sweep", None)
    if not callable(sweep):
        raise UserError(f"recipe '{path}' has no sweep(); add a function that yields overrides such as {EXAMPLE}")
    points: list[object] = []
    try:
        for point in sweep():
            points.append(dict(point) if isinstance(point, Mapping) else point)  # a generator may yield the same dict again
            if len(points) > MAX_POINTS:
                raise UserError(f"sweep() of '{path}' yields more than {MAX_POINTS} points; it may not end")
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"sweep() of '{path}' fails after {len(points)} points: {reason(error)}") from error
    if not points:
        raise UserError(f"sweep() of '{path}' yields no points; yield overrides such as {EXAMPLE}")
    return points


def title_of(number: int, overrides: object) -> str:
    """Return how messages name a point of `sweep()`."""
    return f"point {number} of sweep() ({_short(overrides)})"


def expand(
    recipe: ConfigDict, yielded: Sequence[object], arguments: Sequence[str] = (), title_of: Callable[[int, object], str] = title_of
) -> list[Point]:
    """Return the points of what `sweep()` of a recipe yielded; `arguments` are overrides of the command for all of them.

    `title_of` names a point in messages, from its number, which begins at 1, and its overrides. Raises UserError, with the title of the
    point, for keys, types and ranges that `imgloc train` refuses, and for two points with the same config.
    """
    for argument in arguments:
        if not argument.startswith("--config."):
            raise UserError(f"unexpected argument '{argument}'; possible: --config.KEY=VALUE, and the options of imgloc sweep --help")
    points: list[Point] = []
    numbers: dict[str, int] = {}
    for number, overrides in enumerate(yielded, start=1):
        if not isinstance(overrides, dict):
            raise UserError(f"point {number} of sweep() must be a dict of overrides such as {EXAMPLE}, got {_short(overrides)}")
        title = title_of(number, overrides)
        try:
            point = _point(recipe, overrides, arguments, title)
        except UserError as error:
            raise UserError(f"{title}: {error}") from error
        if point.identity in numbers:
            raise UserError(f"{title} is the same run as point {numbers[point.identity]}; remove one of them")
        numbers[point.identity] = number
        points.append(point)
    return _with_unique_names(points)


def _point(recipe: ConfigDict, overrides: Mapping[Any, Any], arguments: Sequence[str], title: str) -> Point:
    values = flat(overrides)
    for key in values:
        if key in override_keys(arguments):
            raise UserError(f"'{key}' is also set by --config.{key}; set it once")
    config = resolve_from_data(override_values(recipe, values, arguments))
    identity = configs.fingerprint(config)
    return Point(values, (*arguments, *as_arguments(values)), config, identity, _name(values, config, identity), title)


def _short(value: object) -> str:
    """Return one line of at most 200 characters for messages."""
    if isinstance(value, dict):
        value = ", ".join(f"{key}={item if isinstance(item, str) else repr(plain(item))}" for key, item in value.items())
    else:
        value = repr(value)
    text = " ".join(value.split()) or "no overrides"
    return text if len(text) <= 200 else text[:200] + " ..."


def _name(overrides: Mapping[str, Any], config: ConfigDict, identity: str) -> str:
    """Return a name such as `lr=0.001,seed=0`: every key that the point sets, by its shortest unique suffix.

    The name depends on this point alone, so that adding points does not rename others. Names that file systems may refuse or not
    distinguish (long, upper case, special characters) are replaced and made unique by the fingerprint of the config.
    """
    leaves = configs.leaves(config)
    raw = ",".join(f"{_shortest(key, leaves)}={_text(value)}" for key, value in overrides.items()) or "recipe"
    name = re.sub(r"[^a-z0-9._=,+-]", "_", raw)
    return name if name == raw and len(raw) <= MAX_NAME_LENGTH else f"{name[: MAX_NAME_LENGTH - 10]}__{identity[:8]}"


def _shortest(key: str, leaves: Sequence[str]) -> str:
    parts = key.split(".")
    suffixes = [".".join(parts[i:]) for i in range(len(parts) - 1, -1, -1)]
    return next(suffix for suffix in suffixes if suffix == key or sum(f".{leaf}".endswith(f".{suffix}") for leaf in leaves) == 1)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return "x".join(_text(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value)


def _with_unique_names(points: Sequence[Point]) -> list[Point]:
    """Append fingerprints to equal names, such as those of the tuple (1, 2) and the string 1x2."""
    count = collections.Counter(point.name for point in points)
    return [point if count[point.name] == 1 else dataclasses.replace(point, name=f"{point.name}__{point.identity[:8]}") for point in points]


def check(points: Sequence[Point], split: str, report: Callable[[str], None]) -> None:
    """Make the checks of `imgloc train` and `imgloc evaluate` for each point; nothing is computed or written.

    Points that share a compiled program are traced once. Raises UserError with the title of the point.
    """
    from imgloc.training import start
    from imgloc.training.hyperparameters import program_fingerprint

    traced: set[str] = set()
    for number, point in enumerate(points, start=1):
        key = program_fingerprint(point.config)
        if key in traced:
            continue
        report(f"checking point {number} of {len(points)}: {point.name}")
        try:
            start.check(point.config)
            open_target(point.config, split)
            after_training(point.config)
        except UserError as error:
            raise UserError(f"{point.title}: {error}") from error
        traced.add(key)
