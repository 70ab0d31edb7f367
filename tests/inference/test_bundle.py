"""Bundles: written and read to the same bits, on any number of devices; what is damaged or of another model is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from imgloc.config import build, schema
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.devices import mesh
from imgloc.inference import bundle
from imgloc.inference.predict import abstract_variables
from tests.refusals import assert_refused

SHAPE = (64, 64, 1)


@pytest.fixture(scope="module")
def config() -> Any:
    return resolve(read_recipe("configs/digits_three_layer_cnn.py"), ["--config.model.hidden=8", "--config.model.channels=(4, 4)"])


@pytest.fixture(scope="module")
def expected(config: Any) -> Any:
    return abstract_variables(build.make_model(config.model, 10), SHAPE, "three_layer_cnn")


@pytest.fixture
def written(config: Any, expected: Any, tmp_path: Path) -> tuple[Path, Any]:
    """A bundle, and the variables in it."""
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(leaf.dtype), expected)
    bundle.write_bundle(tmp_path / "model", config, classes=tuple("0123456789"), channels=1, step=7, variables=variables, calibration={})
    return tmp_path / "model", variables


def loaded(folder: Path, expected: Any) -> Any:
    return bundle.load_variables(folder, bundle.read_bundle(folder), expected, mesh.make_mesh(jax.local_devices()[:1]))


def test_what_is_written_is_read_to_the_same_bits(written: tuple[Path, Any], config: Any, expected: Any) -> None:
    folder, variables = written
    header = bundle.read_bundle(folder)
    assert (header.task, header.step, header.classes, header.format) == ("localize", 7, tuple("0123456789"), 1)
    assert (header.input.height, header.input.width, header.input.channels, header.input.resize) == (64, 64, 1, "stretch")
    assert schema.to_json(header.resolved) == schema.to_json(config)
    jax.tree.map(np.testing.assert_array_equal, loaded(folder, expected), variables)
    assert sorted(path.name for path in folder.iterdir()) == ["bundle.json", "variables.safetensors"]
    assert set(load_file(folder / "variables.safetensors")) == set(bundle.named(variables)), "readable without imgloc"
    bundle.write_bundle(folder, config, classes=("a",), channels=1, step=8, variables=variables, calibration={})
    assert bundle.read_bundle(folder).step == 8


def test_an_array_without_axes_keeps_its_shape(config: Any, tmp_path: Path) -> None:
    variables = {"fitted": {"scale": np.array(2.5, np.float32)}}
    bundle.write_bundle(tmp_path / "model", config, classes=("a",), channels=1, step=1, variables=variables, calibration={})
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), variables)
    assert loaded(tmp_path / "model", shapes)["fitted"]["scale"].shape == ()


def _with_a_flipped_bit(array: np.ndarray) -> np.ndarray:
    content = bytearray(array.tobytes())
    content[len(content) // 2] ^= 4
    return np.frombuffer(bytes(content), array.dtype).reshape(array.shape)


def test_what_is_damaged_or_of_another_model_is_refused(written: tuple[Path, Any], expected: Any, tmp_path: Path) -> None:
    folder, _ = written
    whole = (folder / "variables.safetensors").read_bytes()
    arrays = load_file(folder / "variables.safetensors")
    name = "params/classes/kernel"

    def rewritten(changed: dict[str, np.ndarray], step: str = "7") -> None:
        save_file(changed, folder / "variables.safetensors", metadata={"step": step})

    for changed, message in (
        ({key: value for key, value in arrays.items() if key != name}, f"lacks array '{name}'"),
        ({**arrays, "params/extra": np.zeros(1, np.float32)}, "has an unknown array 'params/extra'"),
        ({**arrays, name: arrays[name][:1].copy()}, f"array '{name}' of the bundle is (1, 10) float32, the model needs"),
        ({**arrays, name: arrays[name].astype(np.float64)}, "float64, the model needs"),
        ({**arrays, name: _with_a_flipped_bit(arrays[name])}, f"array '{name}' of the bundle is damaged"),
    ):
        rewritten(changed)
        assert_refused(lambda: loaded(folder, expected), message)
    rewritten(arrays, step="8")
    assert_refused(lambda: loaded(folder, expected), "mixes the files of two steps; copy both files of one model again, or resume the run")
    for damaged in (whole[:100], b"", whole[: len(whole) // 2]):
        (folder / "variables.safetensors").write_bytes(damaged)
        assert_refused(lambda: loaded(folder, expected), "cannot read")
    (folder / "variables.safetensors").unlink()
    assert_refused(lambda: loaded(folder, expected), "cannot read")

    header = json.loads((folder / "bundle.json").read_text())
    for text, message in (
        ("{", "cannot read"), (json.dumps({**header, "step": "7"}), "Expected `int`, got `str` - at `$.step`"),
        (json.dumps({**header, "format": 3}), "is a bundle of format 3, expected 1 or 2"),
        (json.dumps({**header, "classes": header["classes"][::-1]}), "is damaged or was changed"), ("[" * 100_000, "cannot read"),
        (json.dumps({"format": 1}), "missing required field"),
    ):  # fmt: skip
        (folder / "bundle.json").write_text(text)
        assert_refused(lambda: bundle.read_bundle(folder), message)
    assert_refused(lambda: bundle.read_bundle(tmp_path), "no trained model in", "possible: RUN/model")
