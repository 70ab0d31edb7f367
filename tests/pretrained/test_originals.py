"""Published networks against their originals, whose outputs for weights and images of a rule are recorded in `files/originals.json`."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from safetensors.numpy import save_file

from imgloc.config import registry
from imgloc.config.build import make_model
from imgloc.config.pretrained_fields import Pretrained, fill_fields
from imgloc.config.registry import declared
from imgloc.config.schema import base
from imgloc.devices.runtime import compiler_options_once
from imgloc.inference import bundle as bundles
from imgloc.inference.predict import abstract_variables
from imgloc.inference.published import published_variables
from imgloc.pretrained.loading.find import find_weights
from imgloc.pretrained.loading.variables import LEAVES, _expected_tensors, _torch_shape
from tests.pretrained.recorded import CLASSES, ORIGINALS, SIZES, fingerprint, image_of, values_of

RECORDED = json.loads(ORIGINALS.read_text())


def section_of(spec: str) -> ConfigDict:
    """The section `model` of the whole published network."""
    model: ConfigDict = base().model
    model.name, model.pretrained = declared("pretrained", spec.partition(":")[0], Pretrained).model, spec
    fill_fields(model)
    model.locate = False
    return model


@functools.cache
def network(name: str, classes: int = CLASSES) -> tuple[Any, dict[str, tuple[int, ...]]]:
    """The published network with a number of classes, and the shapes of its variables by path."""
    model = make_model(section_of(name), classes)
    return model, abstract_variables(model, (224, 224, 3), name)


def tensors_of(name: str, convention: int = 0) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the tensors that a table expects, in PyTorch's layout."""
    shapes = {path: tuple(leaf.shape) for path, leaf in bundles.named(network(name)[1]).items()}
    targets = {path.partition("/")[2].removeprefix("backbone/"): shape for path, shape in shapes.items()}
    expected = _expected_tensors(dict.fromkeys(targets, ""), declared("pretrained", name, Pretrained).names[convention])
    assert set(expected) == set(targets), "a variable has no tensor"
    return {expected[target]: _torch_shape(shape) for target, shape in targets.items()}


@pytest.mark.parametrize("key", RECORDED)
def test_outputs_equal_those_of_the_original(key: str, tmp_path: Path) -> None:
    name = key.partition("/")[0]
    conventions = range(len(declared("pretrained", name, Pretrained).names))
    (tensors,) = [found for found in (tensors_of(name, i) for i in conventions) if fingerprint(found) == RECORDED[key]["tensors"]]
    file = tmp_path / "weights.safetensors"
    save_file({tensor: values_of(tensor, shape) for tensor, shape in tensors.items()}, file)
    spec = f"{name}:{file}"
    model, expected = network(name)
    variables = bundles.unnamed(published_variables(section_of(spec), find_weights(spec), expected), expected)
    apply = jax.jit(lambda v, image: model.apply(v, image, train=False)["logits"][0], compiler_options=compiler_options_once())
    for size in SIZES:
        logits = apply(variables, image_of(size))
        original = np.array(RECORDED[key]["logits"]["x".join(map(str, size))])
        np.testing.assert_allclose(logits, original, atol=1e-4, rtol=1e-4)
        assert original.std() > 0.1


def test_every_table_has_been_compared_with_an_original() -> None:
    assert {key.partition("/")[0] for key in RECORDED} == set(registry.names("pretrained"))


@pytest.mark.parametrize("name", registry.names("pretrained"))
def test_a_table_names_every_variable_of_its_network_once(name: str) -> None:
    weights = declared("pretrained", name, Pretrained)
    for convention, layers in enumerate(weights.names):
        tensors = tensors_of(name, convention)
        assert len(set(layers.values())) == len(layers)
        assert {tensor.rpartition(".")[0] for tensor in tensors if tensor.rpartition(".")[2] in LEAVES.values()} <= set(layers.values())
    assert weights.source.startswith("https://")
    assert weights.package or weights.hub or name
