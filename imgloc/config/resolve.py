"""From a recipe and command-line overrides to a complete config: every option filled in and checked."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from imgloc.config import schema as configs
from imgloc.config.build import fit_of, keyword_options, make_source, member, model_class, model_fields
from imgloc.config.model_sections import PARTS, part_section, part_settings
from imgloc.config.object_counts import count_objects
from imgloc.config.overrides import apply_flags, as_arguments, flag_value, flat, override_keys, plain
from imgloc.config.pretrained_fields import fill_fields
from imgloc.config.recipes import read_recipe
from imgloc.config.registry import declared, names
from imgloc.config.renames import unknown_name
from imgloc.config.saved import allow_imports, dotted_names
from imgloc.config.task import make_task
from imgloc.errors import UserError
from imgloc.interfaces import Loss, Operation
from imgloc.types import RESIZES

COMPLETED = ("data.batch_transforms", "data.preprocess")  # keys whose entries come out with all of their options


def resolve(recipe: ConfigDict, arguments: Sequence[str] = ()) -> ConfigDict:
    """A recipe with command-line overrides as a complete, checked config, with keys that depend on the data; see `override`."""
    return resolve_from_data(override(recipe, arguments))


def load_config(recipe: str | Path, **overrides: Any) -> ConfigDict:
    """Load a recipe as a complete, checked config, which `imgloc.train` accepts.

    `recipe` is the path of a Python file with get_config(), or the name of a recipe of imgloc. Overrides are keyword arguments: by
    section, `train={"steps": 100}`, or by dotted key, `**{"optim.lr": 1e-3}`. Raises UserError for unknown keys, with the nearest
    right name, and for wrong types and values.
    """
    return resolve_values(read_recipe(str(recipe)), overrides)


def resolve_values(recipe: ConfigDict, overrides: Mapping[str, Any]) -> ConfigDict:
    """A recipe with overrides that are Python values as a complete, checked config; see `resolve`."""
    return resolve_from_data(override_values(recipe, overrides))


def override_values(recipe: ConfigDict, overrides: Mapping[str, Any], arguments: Sequence[str] = ()) -> ConfigDict:
    """A recipe with command-line overrides, then with overrides that are Python values, as a complete, checked config.

    A value must have the type of its key: a flag accepts the text '0.1' for a number, but a value must be a number.
    """
    values = flat(overrides)
    config = override(recipe, (*arguments, *as_arguments(values)))
    for key, value in values.items():
        resolved = functools.reduce(getattr, key.split("."), config)
        configs.check_type(key, value, resolved)
        if plain(resolved) != value and value != "" and key not in COMPLETED:  # an empty name stands for one that is chosen
            raise UserError(f"config key '{key}' is {value!r} in the overrides, but {resolved!r} in its config")
    return config


def override(recipe: ConfigDict, arguments: Sequence[str] = ()) -> ConfigDict:
    """A recipe with command-line overrides as a complete, checked config.

    A flag that names another model, part of it, source or augmentation drops the recipe's options for the previous one; train.steps
    drops its epochs.
    """
    configs.check_keys(recipe)
    recipe = configs.copied(recipe)
    given = override_keys(arguments)
    if "train.steps" in given:
        recipe.train.epochs = 0.0
    _switch(recipe.model, "model.name", recipe.model, arguments)
    _switch(recipe.data, "data.source", recipe.data.options, arguments)
    _switch(recipe.data.augment, "data.augment.name", recipe.data.augment, arguments)
    config = complete(recipe)
    for field in PARTS:
        if field in config.model and isinstance(config.model[field], ConfigDict):
            _switch(config.model[field], f"model.{field}.name", config.model[field], arguments)
    config = complete(config)
    config = complete(apply_flags(config, arguments))
    if "train.steps" in given and config.train.epochs:
        raise UserError("--config.train.steps and --config.train.epochs are both set; set one of them")
    allow_imports(*dotted_names(config.to_dict()))
    configs.check_keys(config)
    config.train.best_metric = config.train.best_metric or make_task(config).best_metric
    configs.check_ranges(config)
    return config


def _switch(section: ConfigDict, key: str, options: ConfigDict, arguments: Sequence[str]) -> None:
    """If a flag sets the name at `key` to another one, sets it in its section and drops the options of the previous one."""
    name, leaf = flag_value(arguments, key), key.rpartition(".")[2]
    if name is not None and name != section[leaf]:
        for option in [option for option in options if option not in (leaf, "pretrained")]:
            del options[option]
        section[leaf] = name


def resolve_from_data(config: ConfigDict) -> ConfigDict:
    """The config with the values that its training split decides.

    Epochs become steps, rounded up; batches run across the ends of epochs. A `data.max_objects` of 0 becomes the number of objects of
    the image with the most, at least 1; see `object_counts.count_objects` for the images that are counted.
    """
    if config.train.epochs == 0 and config.data.max_objects > 0:
        return config
    source = make_source(config.data, "train", config.seed)
    config = configs.copied(config)
    if config.train.epochs:
        if source.info.endless:
            endless = f"the training examples of '{config.data.source}' are endless"
            raise UserError(f"train.epochs must be 0, got {config.train.epochs}: {endless}; set train.steps")
        config.train.steps = math.ceil(config.train.epochs * len(source) / config.train.batch_size)
        config.train.epochs = 0.0
    if config.data.max_objects == 0:
        config.data.max_objects = int(count_objects(source).max(initial=1))
    configs.check_ranges(config)
    return config


def complete(config: ConfigDict) -> ConfigDict:
    """The config with every option of its model, source, augmentation, losses, batch transforms and operations filled in."""
    config = configs.copied(config)
    fields = model_fields(model_class(config.model.name))
    if config.model.pretrained:
        fill_fields(config.model)
    for field in PARTS:
        if isinstance(fields.get(field), Mapping):
            section = config.model[field] = fields[field] = part_section(field, config.model, fields[field])
            _fill(f"model.{field}", section, part_settings(field, section.name) if section.name else {}, also=("name",))
    _fill("model", config.model, fields, also=("name", "pretrained"))
    source = member("data.sources", config.data.source, "source")
    _fill("data.options", config.data.options, keyword_options(source, but="seed"), also=())
    augment = member("data.augmentations", config.data.augment.name, "augment")
    _fill("data.augment", config.data.augment, keyword_options(augment, but="size"), also=("name",))
    if config.data.resize not in RESIZES:
        raise unknown_name("resize (data.resize)", config.data.resize, RESIZES)
    if fit_of(config.model.name) is not None:
        _check_fitted(config)
    elif not config.losses:
        raise UserError(f"losses is empty; possible entries: {', '.join(names('losses'))}")
    for key in config.losses:
        entry = _entry(config.losses, "losses", key)
        options = keyword_options(declared("losses", entry.name, Loss).function)
        _fill(f"losses.{key}", entry, {"weight": 1.0, **options}, also=("name",))
    config.data.batch_transforms = tuple(_batch_transform(entry) for entry in config.data.batch_transforms)
    config.data.preprocess = tuple(complete_operation(entry) for entry in config.data.preprocess)
    return config


def _check_fitted(config: ConfigDict) -> None:
    """Raises UserError for keys that have no meaning for a model that is fitted without gradients."""
    reads = f"model '{config.model.name}' reads the images themselves"
    if config.data.preprocess:
        raise UserError(f"data.preprocess must be empty, got {config.data.preprocess}: {reads}; use a recipe without it, or another model")
    given = {
        "losses": ", ".join(config.losses), "data.batch_transforms": config.data.batch_transforms,
        "model.pretrained": config.model.pretrained, "train.init_from": config.train.init_from,
        "compression.teacher": config.compression.teacher, "compression.sparsity": config.compression.sparsity,
        "compression.int8": config.compression.int8,
    }  # fmt: skip
    for key, value in given.items():
        if value:
            fitted = f"model '{config.model.name}' is fitted without losses and gradients"
            raise UserError(f"{key} must be empty, got {value}: {fitted}; use a recipe without {key}, or another model")


def _entry(section: ConfigDict, where: str, key: str) -> ConfigDict:
    """An entry of a section whose entries each name a file; its own name is the default."""
    entry = section[key]
    if not isinstance(entry, ConfigDict):
        raise UserError(f"{where}.{key} must be a section such as {{'weight': 1.0}}, got {entry!r}")
    entry.name = entry.name if "name" in entry else key
    configs.check_type(f"{where}.{key}.name", entry.name, "")
    return entry


def _batch_transform(entry: Any) -> dict[str, Any]:
    """An entry of `data.batch_transforms`, a name or a dict of a name and options, with every option."""
    section = _named("data.batch_transforms", entry)
    options = keyword_options(member("data.batch_transforms", section.name, "transform"), but="num_classes")
    return _filled("data.batch_transforms", section, options)


def complete_operation(entry: Any, where: str = "data.preprocess") -> dict[str, Any]:
    """An entry of `data.preprocess`, a name or a dict of a name, options and `keep`, with every option. Raises UserError for wrong ones."""
    section = _named(where, entry)
    options = keyword_options(declared("operations", section.name, Operation).function)
    return _filled(where, section, {"keep": False, **options})


def _named(where: str, entry: Any) -> ConfigDict:
    entry = {"name": entry} if isinstance(entry, str) else entry
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise UserError(f"an entry of {where} must be a name, or a dict with a name and options, got {entry!r}")
    return ConfigDict(dict(entry))


def _filled(where: str, section: ConfigDict, options: Mapping[str, Any]) -> dict[str, Any]:
    _fill(f"{where} ({section.name})", section, options, also=("name",))
    entry: dict[str, Any] = section.to_dict()
    return entry


def _fill(where: str, section: ConfigDict, defaults: Mapping[str, Any], also: Sequence[str]) -> None:
    for key in section:
        if key not in defaults and key not in also:
            raise unknown_name("config key", f"{where}.{key}", [f"{where}.{name}" for name in (*defaults, *also)])
        if key in defaults and defaults[key] not in (dataclasses.MISSING, inspect.Parameter.empty):
            configs.check_type(f"{where}.{key}", section[key], defaults[key])
    for key, default in defaults.items():
        if key not in section:
            if default in (dataclasses.MISSING, inspect.Parameter.empty):
                raise UserError(f"{where}.{key} has no default; set it")
            section[key] = default
        elif isinstance(default, float):
            number = float(section[key])
            del section[key]  # ml_collections keeps the type of an existing value
            section[key] = number
