"""The numbers of a config that are inputs of the compiled training step, instead of constants in it.

Configs that differ only in these numbers and in the seed share one compiled program. Each number is declared where its key is: those of
`optim` in the schema (`INPUTS`), options of a loss in its `LOSS` (`inputs`), fields of a model in its file (`INPUT_FIELDS`). A number
that is 0 is not an input: it turns a part of the program off, such as weight decay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import numpy as np
from ml_collections import ConfigDict

from imgloc import files
from imgloc.config import schema as configs
from imgloc.config.build import input_fields
from imgloc.config.registry import declared
from imgloc.interfaces import Loss

Hyperparameters: TypeAlias = Mapping[str, np.float32 | jax.Array]  # scalars by dotted key, such as optim.lr
INPUT = "input"  # stands for the value of an input in the fingerprint of a program


def is_on(value: float | jax.Array) -> bool:
    """Whether a number of a config is above 0. The value of an input of the compiled step is unknown while it is traced, but not 0."""
    return not isinstance(value, (int, float)) or value > 0


def hyperparameters(config: ConfigDict) -> Hyperparameters:
    """The inputs of the compiled training step of a config, by dotted key."""
    values = {key: _at(config, key.split(".")) for key in _possible_inputs(config)}
    return {key: np.float32(value) for key, value in values.items() if value != 0}


def with_hyperparameters(config: ConfigDict, numbers: Hyperparameters) -> ConfigDict:
    """A copy of a config that has these numbers, which may be traced."""
    values = config.to_dict()
    for key, number in numbers.items():
        *sections, name = key.split(".")
        _at(values, sections)[name] = number
    return ConfigDict(values)


def program_fingerprint(config: ConfigDict) -> str:
    """16 hex digits that are equal for configs that differ only in the seed and in the values of `hyperparameters`."""
    values = configs.to_json(config)
    del values["seed"]
    for key in hyperparameters(config):
        *sections, name = key.split(".")
        _at(values, sections)[name] = INPUT
    return files.fingerprint(values)


def _possible_inputs(config: ConfigDict) -> list[str]:
    options = [f"losses.{key}.{option}" for key, entry in config.losses.items() for option in _loss_inputs(entry)]
    return [*configs.INPUTS, *options, *(f"model.{field}" for field in input_fields(config.model.name) if field in config.model)]


def _loss_inputs(entry: ConfigDict) -> tuple[str, ...]:
    return ("weight", *(option for option in declared("losses", entry.name, Loss).inputs if option in entry))


def _at(values: Any, path: list[str]) -> Any:
    for name in path:
        values = values[name]
    return values
