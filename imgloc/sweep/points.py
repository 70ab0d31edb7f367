"""The points of a sweep: what a recipe's `sweep()` yields, each as a complete, checked config with a name.

    def sweep():
        for lr in (1e-3, 3e-3):
            for seed in range(3):
                yield {"optim.lr": lr, "seed": seed}

A point means what `imgloc train` makes of its values as `--config.KEY=VALUE`, so each can be made again by hand.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_collections import ConfigDict

from imgloc import files
from imgloc.config import schema as configs
from imgloc.config.overrides import override_keys
from imgloc.config.recipes import load_recipe
from imgloc.config.resolve import epochs_to_steps, override
from imgloc.errors import UserError, reason
from imgloc.evaluation.target import after_training, open_target

MOST = 10_000  # points of a sweep: more is an endless generator
LONGEST_NAME = 100  # characters; file systems take 255 bytes
# Values that change no shape: only whether they are above 0 matters to what is traced.
SCALES = ("lr", "b1", "b2", "eps", "weight_decay", "clip_norm", "ema")
EXAMPLE = '{"optim.lr": 1e-3, "seed": 0}'


@dataclass(frozen=True)
class Point:
    """One run of a sweep: what it overrides, the complete config, and the name of its folder."""

    overrides: Mapping[str, Any]
    arguments: tuple[str, ...]  # --config.KEY=VALUE that make this config of the recipe: the command's, then the point's
    config: ConfigDict
    identity: str  # fingerprint of the config
    name: str
    title: str  # of messages: its number and overrides


def read_sweep(path: str) -> list[Any]:
    """What `sweep()` of a recipe file yields, in order. Raises UserError where it has none or that fails."""
    sweep = getattr(load_recipe(path), "sweep", None)
    if not callable(sweep):
        raise UserError(f"config file '{path}' has no sweep(); possible: a function that yields overrides such as {EXAMPLE}")
    points: list[Any] = []
    try:
        for point in sweep():
            points.append(dict(point) if isinstance(point, Mapping) else point)  # a generator may yield one dict over and over
            if len(points) > MOST:
                raise UserError(f"sweep() of '{path}' yields more than {MOST} points; does it end?")
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"sweep() of '{path}' fails after {len(points)} points: {reason(error)}") from error
    if not points:
        raise UserError(f"sweep() of '{path}' yields no points; possible: overrides such as {EXAMPLE}")
    return points


def expand(recipe: ConfigDict, yielded: Sequence[Any], arguments: Sequence[str] = ()) -> list[Point]:
    """The points that a recipe's `sweep()` yielded; `arguments` are the command's own overrides, for each of them.

    Raises UserError, with the point's number and values, for keys, types and ranges that `imgloc train` would
    refuse, and for two points of the same config.
    """
    for argument in arguments:
        if not argument.startswith("--config."):
            raise UserError(f"unexpected argument '{argument}'; possible: --config.KEY=VALUE, and those of --help")
    points: list[Point] = []
    numbers: dict[str, int] = {}
    for number, overrides in enumerate(yielded, start=1):
        title = f"point {number} of sweep()"
        if not isinstance(overrides, dict):
            raise UserError(f"{title} is {_short(overrides)}; possible: a dict of overrides such as {EXAMPLE}")
        title += f" ({_short(overrides)})"
        try:
            point = _point(recipe, overrides, arguments, title)
        except UserError as error:
            raise UserError(f"{title}: {error}") from error
        if point.identity in numbers:
            raise UserError(f"{title} is the same run as point {numbers[point.identity]}; each config is run once")
        numbers[point.identity] = number
        points.append(point)
    return _with_unique_names(points)


def _point(recipe: ConfigDict, overrides: Mapping[Any, Any], arguments: Sequence[str], title: str) -> Point:
    for key in overrides:
        if not isinstance(key, str) or not all(part.isidentifier() for part in key.split(".")):
            raise UserError(f"key {key!r} is no dotted name such as 'optim.lr'")
        if key in override_keys(arguments):
            raise UserError(f"'{key}' is also set by --config.{key}; possible: one of the two")
    values = {key: plain(value) for key, value in overrides.items()}
    flags = (*arguments, *(f"--config.{key}={value if isinstance(value, str) else repr(value)}" for key, value in values.items()))
    config = override(recipe, flags)
    for key, value in values.items():
        meant = functools.reduce(getattr, key.split("."), config)
        configs.check_type(key, value, meant)  # '0.1' passes as a flag for a number; here a number is meant as one
        if plain(meant) != value:
            raise UserError(f"config key '{key}' became {meant!r}; got {value!r}")
    config = epochs_to_steps(config)
    identity = configs.fingerprint(config)
    return Point(values, flags, config, identity, _name(values, config, identity), title)


def plain(value: Any) -> Any:
    """A value as Python's own: scalars of NumPy and JAX as numbers, lists as tuples."""
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def _short(value: Any) -> str:
    if isinstance(value, dict):
        text = ", ".join(f"{key}={plain(item)!r}" if not isinstance(item, str) else f"{key}={item}" for key, item in value.items())
    else:
        text = repr(value)
    text = " ".join(text.split()) or "no overrides"
    return text if len(text) <= 200 else text[:200] + " ..."


def _name(overrides: Mapping[str, Any], config: ConfigDict, identity: str) -> str:
    """`lr=0.001,seed=0`: every key that the point sets, by the shortest end of it that means no other key.

    It depends on this point alone, so that points added later rename none. What a file system may refuse or
    fold together (long, upper case, odd characters) is replaced, and told apart by the config's fingerprint.
    """
    leaves = configs.leaves(config)
    raw = ",".join(f"{_shortest(key, leaves)}={_text(value)}" for key, value in overrides.items()) or "recipe"
    name = re.sub(r"[^a-z0-9._=,+-]", "_", raw)
    return name if name == raw and len(raw) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 10]}__{identity[:8]}"


def _shortest(key: str, leaves: Sequence[str]) -> str:
    parts = key.split(".")
    ends = [".".join(parts[i:]) for i in range(len(parts) - 1, -1, -1)]
    return next(end for end in ends if end == key or sum(f".{leaf}".endswith(f".{end}") for leaf in leaves) == 1)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(_text(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value)


def _with_unique_names(points: Sequence[Point]) -> list[Point]:
    """Points whose names are alike (1x2 is a tuple and may be a string) are told apart by their fingerprints."""
    count = collections.Counter(point.name for point in points)
    named = []
    for point in points:
        name = point.name if count[point.name] == 1 else f"{point.name}__{point.identity[:8]}"
        named.append(dataclasses.replace(point, name=name))
    return named


def check(points: Sequence[Point], split: str, say: Callable[[str], None]) -> None:
    """Build what each point names, and run a step and an evaluation of it on shapes alone (`jax.eval_shape`).

    The same checks that `imgloc train` and `imgloc evaluate` make before they write anything; configs that differ in
    nothing but seed and strengths are traced once. Raises UserError that names the point.
    """
    from imgloc.training import setup

    traced: set[str] = set()
    for number, point in enumerate(points, start=1):
        key = files.fingerprint(_shape_of(point.config))
        if key in traced:
            continue
        say(f"checking point {number} of {len(points)}: {point.name}")
        try:
            parts = setup.set_up(point.config)
            if point.config.train.init_from:
                setup.initial_state(point.config, parts)
            open_target(point.config, split)
            after_training(point.config)
        except UserError as error:
            raise UserError(f"{point.title}: {error}") from error
        traced.add(key)


def _shape_of(config: ConfigDict) -> dict[str, Any]:
    """What of a config its shapes can depend on."""
    values = configs.to_json(config)
    del values["seed"]
    values["optim"] |= {key: values["optim"][key] > 0 for key in SCALES}
    for entry in values["losses"].values():
        entry["weight"] = entry["weight"] > 0
    return values


def without_seed(config: ConfigDict) -> str:
    """What the runs of one config under several seeds have in common: a fingerprint."""
    values = configs.identity(configs.to_json(config))
    del values["seed"]
    return files.fingerprint(values)
