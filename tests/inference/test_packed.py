"""Arrays in few bytes: what is read equals what was written, the file is small, and damaged ones are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from imgloc.config.schema import base
from imgloc.devices import mesh
from imgloc.inference.bundle import load_variables, read_bundle, write_bundle
from imgloc.inference.packed import names, pack, unpack
from tests.refusals import assert_refused

RNG = np.random.default_rng(0)


def sparse(shape: tuple[int, ...], share: float) -> np.ndarray:
    array = RNG.standard_normal(shape).astype(np.float32)
    return np.where(RNG.random(shape) < share, 0, array).astype(np.float32)


VARIABLES = {
    "params": {"conv": {"kernel": sparse((3, 3, 16, 32), 0.8), "bias": sparse((32,), 0)}, "classes": {"kernel": sparse((32, 10), 0)}},
    "batch_stats": {"mean": sparse((32,), 0)},
}


def write(folder: Path, **compression: Any) -> int:
    config = base()
    config.model.name = "localizer"
    config.compression.update(compression)
    write_bundle(folder, config, classes=("a",), channels=1, step=3, variables=VARIABLES, calibration={})
    return (folder / "variables.safetensors").stat().st_size


def read(folder: Path) -> Any:
    return load_variables(folder, read_bundle(folder), VARIABLES, mesh.make_mesh(jax.local_devices()[:1]))


def largest_error(folder: Path) -> float:
    errors = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), read(folder), VARIABLES)
    assert errors["batch_stats"]["mean"] == errors["params"]["classes"]["kernel"] == errors["params"]["conv"]["bias"] == 0
    return float(errors["params"]["conv"]["kernel"])


def test_zeros_cost_a_bit_and_integers_a_byte(tmp_path: Path) -> None:
    values = VARIABLES["params"]["conv"]["kernel"].size
    full = write(tmp_path / "full")
    saved = {
        name: full - write(tmp_path / name, **compression)
        for name, compression in {"sparse": {"sparsity": 0.8}, "int8": {"int8": True}, "both": {"int8": True, "sparsity": 0.8}}.items()
    }
    assert saved["int8"] == saved["both"], "zeros are found where they are"
    assert saved["sparse"] == pytest.approx(4 * values - values / 8 - 0.2 * 4 * values, rel=0.05)
    assert saved["both"] == pytest.approx(4 * values - values / 8 - 0.2 * values, rel=0.05)
    assert largest_error(tmp_path / "sparse") == largest_error(tmp_path / "full") == 0
    top = np.abs(VARIABLES["params"]["conv"]["kernel"]).max()
    assert 0 < largest_error(tmp_path / "int8") <= top / 127 / 2 * 1.001
    zero = VARIABLES["params"]["conv"]["kernel"] == 0
    assert (np.asarray(read(tmp_path / "both")["params"]["conv"]["kernel"])[zero] == 0).all()


def test_only_packed_bundles_have_another_format(tmp_path: Path) -> None:
    write(tmp_path / "full")
    write(tmp_path / "int8", int8=True)
    assert (read_bundle(tmp_path / "full").format, read_bundle(tmp_path / "int8").format) == (1, 2)


DAMAGES: dict[str, tuple[Callable[[dict[str, np.ndarray]], Any], str]] = {
    "a short mask": (lambda t: t.update({"params/conv/kernel:mask": t["params/conv/kernel:mask"][:-1]}), "mask"),
    "a changed mask": (lambda t: t["params/conv/kernel:mask"].__setitem__(0, ~t["params/conv/kernel:mask"][0]), "bundle"),
    "fewer values": (lambda t: t.update({"params/conv/kernel": t["params/conv/kernel"][:-1]}), "values"),
    "a changed scale": (lambda t: t["params/conv/kernel:scale"].__setitem__(0, 2.0), "damaged"),
    "a short scale": (lambda t: t.update({"params/conv/kernel:scale": t["params/conv/kernel:scale"][:-1]}), "scales"),
    "a scale of another array": (lambda t: t.update({"other:scale": np.ones(3, np.float32)}), "unknown array 'other'"),
    "a scale of floats": (lambda t: t.update({"params/classes/kernel:scale": np.ones(10, np.float32)}), "scales"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files_are_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, int8=True, sparsity=0.8)
    damage, reason = DAMAGES[name]
    tensors = {key: np.array(value) for key, value in load_file(tmp_path / "variables.safetensors").items()}
    damage(tensors)
    save_file(tensors, tmp_path / "variables.safetensors", metadata={"step": "3"})
    assert_refused(lambda: read(tmp_path), reason)


def test_names_and_shapes_come_back() -> None:
    compression = base().compression
    compression.int8 = True
    array = np.zeros((5, 16), np.float32)
    tensors = pack({"params/a/kernel": array}, compression)
    assert names(tensors) == {"params/a/kernel"}
    assert tensors["params/a/kernel"].size == 0, "nothing but the mask"
    np.testing.assert_array_equal(unpack("params/a/kernel", tensors, tensors.__getitem__, (5, 16)), array)
