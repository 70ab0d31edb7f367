"""Imports models, losses, sources, tasks, metrics and other parts by name. No other module does so."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from types import ModuleType
from typing import TypeVar

from imgloc.config.renames import unknown_name
from imgloc.errors import UserError, reason

T = TypeVar("T")
ROOMS = {
    "models": "model", "losses": "loss", "data.sources": "source", "data.augmentations": "augmentation", "data.formats": "format",
    "data.builders": "data set", "data.batch_transforms": "batch transform", "tasks": "task", "evaluation.metrics": "metric",
    "evaluation.slicings": "slicing", "evaluation.baselines": "baseline", "inference.exports": "export format", "nn.cells": "cell",
    "models.backbones": "backbone", "models.score_map_heads": "score map head", "losses.assignments": "assignment",
    "losses.matchings": "matching", "models.set_decoders": "set decoder", "explanation.methods": "explanation method",
    "pretrained": "pretrained weights", "models.descriptors": "descriptor", "operations": "operation", "training.loggers": "logger",
    "sweeps.executors": "executor", "deployment.formats": "model format",
}  # fmt: skip
OBJECTS = {  # the object that a file of these rooms declares
    "losses": "LOSS", "tasks": "TASK", "evaluation.metrics": "METRICS", "evaluation.slicings": "SLICING",
    "evaluation.baselines": "BASELINE", "inference.exports": "EXPORT", "explanation.methods": "METHOD", "pretrained": "PRETRAINED",
    "operations": "OPERATION", "sweeps.executors": "EXECUTOR", "deployment.formats": "FORMAT",
}  # fmt: skip


def names(room: str) -> list[str]:
    """The names that a room of imgloc offers: those of its files, without folders in it."""
    package = importlib.import_module(f"imgloc.{room}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg)


def find(room: str, name: str) -> ModuleType:
    """The module of a name: a file in that room of imgloc, or a dotted module of the user's own.

    Raises UserError where it does not exist or cannot be imported.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        raise unknown_name(ROOMS[room], name, names(room))
    if "." not in name and name not in names(room):
        raise unknown_name(ROOMS[room], name, names(room))
    if "." in name and os.getcwd() not in sys.path:  # the script of a command does not search the folder in which it runs
        sys.path.append(os.getcwd())
    try:
        return importlib.import_module(name if "." in name else f"imgloc.{room}.{name}")
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        hint = "; possible: a module in this folder or installed" if "." in name else ""
        raise UserError(f"cannot import {ROOMS[room]} '{name}': {reason(error)}{hint}") from error


def declared(room: str, name: str, kind: type[T]) -> T:
    """The object that a file of a room declares, such as `LOSS`. Raises UserError where it has none of this kind."""
    value = getattr(find(room, name), OBJECTS[room], None)
    if not isinstance(value, kind):
        raise UserError(f"{ROOMS[room]} '{name}' has no {OBJECTS[room]} of type {kind.__name__}; see docs/extending")
    return value
