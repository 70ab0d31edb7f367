"""From a config to objects: its model, losses, source and task, with every option filled in and checked."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict

from imgloc import config as configs
from imgloc import overrides
from imgloc.data.batches.pipeline import Augmentation
from imgloc.data.batches.view import FITS, View
from imgloc.data.checks.examples import check_sources
from imgloc.data.checks.folder import Findings
from imgloc.errors import UserError, reason, unknown
from imgloc.names import ROOMS, find, names
from imgloc.randomness import generator
from imgloc.types import MOST_MOMENTS, NOT_SCORED, Batch, Example, Outputs, Source

LossFunction = Callable[[Outputs, Batch], jax.Array]
HANDED_OVER = ("num_classes", "parent", "name")  # model fields that no config sets


@dataclass(frozen=True)
class WeightedLoss:
    """One entry of `config.losses`: `function(outputs, batch)` gives [b]."""

    name: str
    weight: float
    function: LossFunction


def resolve(recipe: ConfigDict, arguments: Sequence[str] = ()) -> ConfigDict:
    """A recipe and its command-line overrides as a complete, checked config, with its epochs as steps; see `overridden`."""
    return in_steps(overridden(recipe, arguments))


def overridden(recipe: ConfigDict, arguments: Sequence[str] = ()) -> ConfigDict:
    """A recipe and its command-line overrides as a complete, checked config.

    Naming another model or source by a flag drops the recipe's fields for the one it named; naming train.steps, its epochs.
    """
    configs.check_keys(recipe)
    recipe = configs.copied(recipe)
    given = overrides.override_keys(arguments)
    if "train.steps" in given:
        if "train.epochs" in given:
            raise UserError("--config.train.steps and --config.train.epochs both say how long to train; possible: one of them")
        recipe.train.epochs = 0.0
    sections = (recipe.model, "model.name", recipe.model), (recipe.data, "data.source", recipe.data.options)
    for section, key, owned in (*sections, (recipe.data.augment, "data.augment.name", recipe.data.augment)):
        wanted = overrides.flag_value(arguments, key)
        leaf = key.split(".")[-1]
        if wanted is not None and wanted != section[leaf]:
            for name in [name for name in owned if name != leaf]:
                del owned[name]
            section[leaf] = wanted
    config = complete(recipe)
    config = complete(overrides.apply_flags(config, arguments))
    configs.check_keys(config)
    configs.check_ranges(config)
    return config


def in_steps(config: ConfigDict) -> ConfigDict:
    """The config with its epochs, where it has some, as steps, the last batch's worth rounded up; batches run across epochs."""
    if config.train.epochs == 0:
        return config
    source = make_source(config.data, "train", config.seed)
    if source.info.endless:
        key = f"config key 'train.epochs' is {config.train.epochs}"
        raise UserError(f"{key}, but the training examples of '{config.data.source}' never end; possible: 0, and train.steps")
    config = configs.copied(config)
    config.train.steps = math.ceil(config.train.epochs * len(source) / config.train.batch_size)
    config.train.epochs = 0.0
    configs.check_ranges(config)
    return config


def complete(config: ConfigDict) -> ConfigDict:
    """The config with every option of its model, source and losses filled in from their defaults."""
    config = configs.copied(config)
    _fill("model", config.model, _fields(_model_class(config.model.name)), also=("name",))
    source = _member("data.sources", config.data.source, "source")
    _fill("data.options", config.data.options, _options(source, but="seed"), also=())
    augment = _member("data.augmentations", config.data.augment.name, "augment")
    _fill("data.augment", config.data.augment, _options(augment, but="size"), also=("name",))
    if config.data.fit not in FITS:
        raise unknown("fit (data.fit)", config.data.fit, FITS)
    if not config.losses:
        raise UserError(f"config.losses is empty; possible entries: {', '.join(names('losses'))}")
    for key in config.losses:
        entry = config.losses[key]
        if not isinstance(entry, ConfigDict):
            raise UserError(f"config key 'losses.{key}' is a section such as {{'weight': 1.0}}; got {entry!r}")
        entry.name = entry.name if "name" in entry else key
        configs.check_type(f"losses.{key}.name", entry.name, "")
        _fill(f"losses.{key}", entry, {"weight": 1.0, **_options(_member("losses", entry.name, "loss"))}, also=("name",))
    return config


def _fill(where: str, section: ConfigDict, defaults: Mapping[str, Any], also: Sequence[str]) -> None:
    for key in section:
        if key not in defaults and key not in also:
            raise unknown("config key", f"{where}.{key}", [f"{where}.{name}" for name in (*defaults, *also)])
        if key in defaults and defaults[key] not in (dataclasses.MISSING, inspect.Parameter.empty):
            configs.check_type(f"{where}.{key}", section[key], defaults[key])
    for key, default in defaults.items():
        if key not in section:
            if default in (dataclasses.MISSING, inspect.Parameter.empty):
                raise UserError(f"config key '{where}.{key}' has no default; set it")
            section[key] = default
        elif isinstance(default, float):
            number = float(section[key])
            del section[key]  # ml_collections keeps the type of what is there
            section[key] = number


def _member(room: str, name: str, member: str) -> Callable[..., Any]:
    """What a module of a room has to offer: its `Model`, `loss`, `source`, `rows`."""
    module = find(room, name)
    found = getattr(module, member, None)
    if not callable(found):
        raise UserError(f"{ROOMS[room]} '{name}' has no {member}; see README, Add your own")
    function: Callable[..., Any] = found
    return function


def _fields(model: type[nn.Module]) -> dict[str, Any]:
    """A linen module's fields and their defaults."""
    made = {f.name: f.default_factory() for f in dataclasses.fields(model) if f.default_factory is not dataclasses.MISSING}
    return {f.name: made.get(f.name, f.default) for f in dataclasses.fields(model) if f.name not in HANDED_OVER}


def _options(function: Callable[..., Any], *, but: str = "") -> dict[str, Any]:
    """The keyword-only options of a loss, source or augmentation with their defaults, `but` for the one that is handed over."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != but}


def _model_class(name: str) -> type[nn.Module]:
    if not name:
        raise UserError(f"config.model.name is empty; possible: {', '.join(names('models'))}")
    model = _member("models", name, "Model")
    if not (isinstance(model, type) and issubclass(model, nn.Module)):
        raise UserError(f"model '{name}' has a Model that is no flax.linen Module; see README, Add your own")
    return model


def make_model(model: ConfigDict, num_classes: int) -> nn.Module:
    """The linen module that a config names, for a data set's number of classes. Raises UserError for fields that it has not."""
    fields = {key: value for key, value in model.items() if key != "name"}
    made = _model_class(model.name)
    foreign = sorted(set(fields) - set(_fields(made)))
    if foreign:  # `complete` has refused them in a recipe
        told = f"model '{model.name}' has no {', '.join(foreign)}; possible: {', '.join(_fields(made))}"
        raise UserError(f"{told}. A run that has was made by another version: its provenance.json says by which commit")
    return made(num_classes=num_classes, **fields)


def changeable(model: str) -> tuple[str, ...]:
    """Fields of a model that change how it answers and none of its variables: a trained one may be scored with others."""
    module = find("models", model)
    return tuple(getattr(module, "CHANGEABLE", ()))


def make_losses(losses: ConfigDict) -> tuple[WeightedLoss, ...]:
    """The losses of weight above 0 with their options bound."""
    made = []
    for key, entry in losses.items():
        options = {name: value for name, value in entry.items() if name not in ("name", "weight")}
        function = _member("losses", entry.name, "loss")
        if entry.weight > 0:
            made.append(WeightedLoss(key, entry.weight, _bound(function, options)))
    if not made:
        raise UserError("every weight in config.losses is 0; there is nothing to learn from")
    return tuple(made)


def _bound(function: Callable[..., jax.Array], options: Mapping[str, Any]) -> LossFunction:
    return lambda outputs, batch: function(outputs, batch, **options)


def make_source(data: ConfigDict, split: str, seed: int) -> Source:
    """One split of the data set that a config names."""
    make = _member("data.sources", data.source, "source")
    try:
        source: Source = make(split, seed=seed, **data.options)
        size = len(source)
    except UserError:
        raise
    except Exception as error:  # whatever a source of somebody's own does
        raise UserError(f"source '{data.source}' fails for split '{split}': {reason(error)}") from error
    if not size:
        raise UserError(f"split '{split}' of source '{data.source}' has no examples")
    return source


def check_data(data: ConfigDict, seed: int, *, thorough: bool) -> Findings | None:
    """What is wrong with the data set that a config names.

    Where its source's module says it of its own files (`check_data`), by that; where it has none, or that says nothing (None), by all
    its examples if that is to be `thorough`, and None if not: cheap enough for each start of a training is only what a source can
    say by itself.
    """
    module = find("data.sources", data.source)
    if hasattr(module, "check_data"):
        found: Findings | None = module.check_data(thorough=thorough, **data.options)
        if found is not None:
            return found
    if not thorough:
        return None
    sources = {}
    for split in ("train", "validation", "test"):
        try:
            sources[split] = make_source(data, split, seed)
        except UserError:
            if split == "train":
                raise
    return check_sources(sources)


def make_view(data: ConfigDict, channels: int) -> View:
    """How a config's model sees examples."""
    return View((*data.image_size, channels), data.max_objects, data.fit)


def make_augmentation(augment: ConfigDict, view: View) -> Augmentation | None:
    """What a config has done to training examples, its options checked; None: nothing.

    A crop is brought to the view's size in the same pass; one that is to be letterboxed keeps its own.
    """
    if augment.name == "none":
        return None
    options: dict[str, Any] = {"size": view.size if view.fit == "squash" else None}
    options |= {key: tuple(value) if isinstance(value, (list, tuple)) else value for key, value in augment.items() if key != "name"}
    function, enlarges = (_member("data.augmentations", augment.name, member) for member in ("augment", "enlarges"))
    blank = Example(np.zeros((32, 32, 3), np.uint8), np.array([[0.25, 0.25, 0.75, 0.75]], np.float32), np.zeros(1, np.int32), 0, "", "")
    function(blank, generator(0, "augmentation", 0), **options)  # options that cannot be are told before anything begins
    return Augmentation(functools.partial(function, **options), enlarges(**options))


def make_task(name: str) -> Callable[[Outputs, Batch], list[dict[str, Any]]]:
    """The function that turns a batch's outputs into rows."""
    return _member("tasks", name, "rows")


def check_outputs(task: str, outputs: Mapping[str, Any], model: str, size: int, classes: int) -> None:
    """Refuse a model whose outputs, for a batch of `size`, are not what a task needs, or not named arrays (b, ...)."""
    missing = [name for name in find("tasks", task).NEEDS if name not in outputs]
    if missing:
        raise UserError(f"task '{task}' needs the output '{missing[0]}'; model '{model}' gives {', '.join(outputs)}")
    reserved: dict[str, tuple[Any, ...]] = {"logits": (size, classes), "box": (size, 4), "score": (size,)}
    for name, axis, last in (("looks", "g", 4), ("sequence", "n", classes)):  # as long as it likes
        shape: tuple[int, ...] = getattr(outputs.get(name), "shape", ())
        reserved[name] = (size, shape[1] if len(shape) == 3 and shape[1] else axis, last)
    for name, value in {key: value for key, value in outputs.items() if key not in NOT_SCORED}.items():
        _check_output(name, value, model, reserved.get(name), size)
    if "steps" in outputs:
        _check_steps(outputs, model, size, classes)


def _check_steps(outputs: Mapping[str, Any], model: str, size: int, classes: int) -> None:
    steps = outputs["steps"]
    wanted = ["logits", *(name for name in ("box", "looks") if name in outputs), "seen"]
    if not isinstance(steps, Mapping) or sorted(steps) != sorted(wanted):
        got = ", ".join(steps) if isinstance(steps, Mapping) else type(steps).__name__
        raise UserError(f"output 'steps' of model '{model}' holds {got}; possible: a dict of {', '.join(wanted)}")
    moments = (getattr(steps["logits"], "shape", ())[1:2] or (1,))[0]
    grid = getattr(steps["seen"], "shape", ())[2:4]
    if not 1 <= moments <= MOST_MOMENTS or 0 in grid:
        got = f"{moments} moments, seen on a grid of {' x '.join(map(str, grid))}"
        raise UserError(f"output 'steps' of model '{model}' tells of {got}; possible: 1 to {MOST_MOMENTS}, on a grid of at least 1 x 1")
    four, seen = (size, moments, 4), (size, moments, *(grid if len(grid) == 2 else "hw"))
    reserved = {"logits": (size, moments, classes), "box": four, "looks": four, "seen": seen}
    for name, value in steps.items():
        _check_output(f"steps/{name}", value, model, reserved[name], size)
        if value.dtype.kind == "c":
            raise UserError(f"output 'steps/{name}' of model '{model}' is complex; possible: real numbers")


def _check_output(name: str, value: Any, model: str, wanted: tuple[Any, ...] | None, size: int) -> None:
    """Refuse what is no array of the wanted shape, or where any will do, of a batch of `size`."""
    shape = getattr(value, "shape", None)
    if shape is None or shape[:1] != (size,) or shape != (wanted or shape):
        got = type(value).__name__ if shape is None else f"shape {shape}"
        shown = wanted or (size, "...")
        raise UserError(f"output '{name}' of model '{model}' is of {got}; possible: an array of shape {shown}, for a batch of {size}")
