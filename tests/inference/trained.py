"""Trained models without any training, for tests of what is made of their outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict

from imgloc.config.registry import declared
from imgloc.devices import mesh
from imgloc.inference.bundle import FORMAT, Bundle, Input
from imgloc.inference.load import Prepared, TrainedModel
from imgloc.inference.predict import abstract_variables
from imgloc.interfaces import Task
from imgloc.types import InputSpec


def trained_model(
    model: nn.Module | None, spec: InputSpec, classes: Sequence[str], *, task: str = "localize", name: str = "mine", variables: Any = None
) -> TrainedModel:
    """A model with given or random variables on one device."""
    shapes = {} if model is None or variables is not None else abstract_variables(model, spec.shape, name)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), shapes) if variables is None else variables
    height, width, channels = spec.shape
    bundle = Bundle(FORMAT, "0", task, tuple(classes), Input(height, width, channels, spec.resize), 1, {"model": {"name": name}}, {}, "")
    device = mesh.make_mesh(jax.local_devices()[:1])
    config: Any = ConfigDict({"model": {"name": name}})
    return TrainedModel(bundle, config, declared("tasks", task, Task), model, variables, device, np.float32, spec)  # type: ignore[arg-type]


def predicting(monkeypatch: Any, columns: Callable[[Prepared], dict[str, Any]], spec: InputSpec, *, task: str = "localize") -> TrainedModel:
    """A model of the class `a` whose prediction columns for an image are what a function returns."""
    monkeypatch.setattr("imgloc.inference.load.column_predictor", lambda trained: lambda each, size: [columns(one) for one in each])
    return trained_model(None, spec, ("a",), task=task, variables={})


def boxed(box: Sequence[float]) -> dict[str, Any]:
    """The columns of class 0 with probability 0.5 and a box in [0, 1]."""
    return {"top_labels": [0], "top_scores": [0.5], "pred_box": list(box)}


def copied_bundle(run: Path, folder: Path) -> Path:
    """The best model of a run, alone in another folder."""
    folder.mkdir(parents=True)
    for name in ("bundle.json", "variables.safetensors"):
        (folder / name).write_bytes((run / "model" / name).read_bytes())
    return folder
