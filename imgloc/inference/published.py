"""Published weights as a trained model that has no run: a bundle in memory, and its variables."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from imgloc.config import schema
from imgloc.config.pretrained_fields import fill_fields, has_backbone_section, split_spec, weights_of
from imgloc.config.registry import names
from imgloc.devices import mesh
from imgloc.errors import UserError
from imgloc.inference import bundle as bundles
from imgloc.inference.bundle import Bundle
from imgloc.pretrained.loading.find import WeightsFile, find_weights
from imgloc.pretrained.loading.imagenet import class_names
from imgloc.pretrained.loading.variables import classes_in, variables_from


def is_published(path: str | Path) -> bool:
    """Whether a path is the name of published weights, with or without a place, and no folder."""
    return split_spec(str(path))[0] in names("pretrained") and not Path(path).exists()


def published_bundle(spec: str, devices: Mesh) -> tuple[Bundle, Callable[[Any], Any]]:
    """The bundle of a whole published classifier, and a function that loads its variables onto devices.

    Its classes are ImageNet's where it has 1000. Its task and the fields of its model are those that the weights declare. With score maps
    the box is that of the map of the predicted class, at the default threshold of the task. Raises UserError where the weights cannot be
    found or read.
    """
    weights, file = weights_of(spec), find_weights(spec)
    config = schema.base()
    config.task = weights.task
    config.data.image_size = weights.size
    config.data.resize = "crop"  # as published networks are evaluated
    config.model.name, config.model.pretrained = weights.model, spec
    fill_fields(config.model)
    for name, value in weights.classifier_fields.items():
        config.model[name] = value
    bundle = Bundle(
        format=bundles.FORMAT,
        imgloc=importlib.metadata.version("imgloc"),
        task=config.task,
        classes=class_names(classes_in(weights, file.path)),
        input=bundles.Input(*weights.size, 3, config.data.resize),
        step=0,
        config=schema.to_json(config),
        arrays={},
        fingerprint="",
    )

    def load_variables(expected: Any) -> Any:
        loaded = published_variables(config.model, file, expected)
        lacking = sorted(set(bundles.named(expected)) - set(loaded))
        if lacking:
            raise UserError(f"the weights '{spec}' have no '{lacking[0]}', which their model needs; its table of names is incomplete")
        placed = {
            name: jax.make_array_from_callback(array.shape, mesh.parameter_sharding(array.shape, devices), array.__getitem__)
            for name, array in loaded.items()
        }
        return bundles.unnamed(placed, expected)

    return bundle, load_variables


def published_variables(model: ConfigDict, file: WeightsFile, expected: Any) -> dict[str, np.ndarray]:
    """The variables by path, float32, that the weights `model.pretrained` have for a model of this section of a config.

    `expected` has the shapes of all its variables. Raises UserError where they do not fit.
    """
    weights = weights_of(model.pretrained)
    shapes = {name: tuple(leaf.shape) for name, leaf in bundles.named(expected).items()}
    sectioned = has_backbone_section(model.name)
    return variables_from(weights, file.path, shapes, sectioned=sectioned, whole=model.name == weights.model)
