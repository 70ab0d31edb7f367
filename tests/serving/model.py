"""A tiny localizer with random variables, as a bundle, without training."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np

from imgloc.config import build
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.inference.bundle import write_bundle
from imgloc.inference.predict import abstract_variables
from tests.processes import ROOT

OVERRIDES = ("--config.model.name=localizer", "--config.model.stem=(4,)", "--config.model.hidden=4", "--config.data.image_size=(32, 32)")


def write_tiny_bundle(folder: Path) -> Path:
    """Write the bundle and return its folder."""
    config = resolve(read_recipe(str(ROOT / "configs" / "digits_cnn.py")), OVERRIDES)
    model = build.make_model(config.model, 10)
    rng = np.random.default_rng(0)

    def random(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        values = rng.standard_normal(leaf.shape) * 0.5
        return (np.abs(values) + 0.5 if "var" in str(path[-1]) else values).astype(leaf.dtype)

    variables = jax.tree_util.tree_map_with_path(random, abstract_variables(model, (32, 32, 1), "localizer"))
    classes = tuple("0123456789")
    write_bundle(folder, config, classes=classes, channels=1, step=1, variables=variables, calibration={})
    return folder
