"""Weights of a small network, declared as a user would: a module with `PRETRAINED`, and a rule for the tensors of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from imgloc.config.build import make_model
from imgloc.config.pretrained_fields import Pretrained, fill_fields
from imgloc.config.schema import base
from imgloc.inference import bundle as bundles
from imgloc.inference.predict import abstract_variables
from imgloc.pretrained.resnet18 import PRETRAINED as RESNET18
from tests.pretrained.recorded import values_of

NAME = "tests.pretrained.small_resnet"
PRETRAINED = Pretrained(
    model="resnet",
    backbone="resnet",
    fields={"depth": 18, "width": 8, "mean": (0.25,), "std": (0.5,)},
    names=RESNET18.names,
    size=(64, 64),
    source="https://example.org",
)


def write_weights(path: Path, *, classes: int = 10, change: float = 0.0) -> str:
    """Write a file of the weights for gray images, and return what names it in a config."""
    model = base().model
    model.name, model.pretrained = "resnet", NAME
    fill_fields(model)
    model.locate = False
    tensors = {}
    expected = bundles.named(abstract_variables(make_model(model, classes), (64, 64, 1), NAME))
    leaves = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
    for full, leaf in expected.items():
        layer, _, name = full.partition("/")[2].rpartition("/")
        tensor = f"{PRETRAINED.names[0][layer]}.{leaves.get(name, name)}"
        order = {4: (3, 2, 0, 1), 2: (1, 0)}.get(len(leaf.shape), range(len(leaf.shape)))
        tensors[tensor] = values_of(tensor, tuple(leaf.shape[axis] for axis in order)) + np.float32(change)
    save_file(tensors, path)
    return f"{NAME}:{path}"
