"""A trained model as a bundle: a folder of two files that prediction needs, and nothing else.

    bundle.json            what the model is: task, classes, input, step and the config of its run
    variables.safetensors  its parameters, averages applied, and its other variables, by path; see `imgloc.inference.packed`

Nothing in a bundle is executable. It can be copied and used without its run.
"""

from __future__ import annotations

import importlib.metadata
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jax
import msgspec
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from imgloc import files
from imgloc.config import schema
from imgloc.config.saved import check_imports
from imgloc.devices import mesh
from imgloc.errors import UserError, one_line
from imgloc.inference import packed

FORMAT, PACKED = 1, 2  # PACKED: some arrays are in few bytes
HEADER, VARIABLES = "bundle.json", "variables.safetensors"


class Input(msgspec.Struct, frozen=True):
    """The images that a model takes."""

    height: int
    width: int
    channels: int
    resize: str  # stretch, letterbox or crop


class Bundle(msgspec.Struct, frozen=True, omit_defaults=True):
    """What bundle.json holds."""

    format: int
    imgloc: str  # the version that wrote it
    task: str
    classes: tuple[str, ...]
    input: Input
    step: int
    config: dict[str, Any]  # of the run
    arrays: dict[str, str]  # the checksum of each array of the variables
    fingerprint: str  # of the other fields
    calibration: dict[str, float] = {}  # of the task, chosen on validation

    @property
    def resolved(self) -> ConfigDict:
        """The config of the run."""
        return schema.from_json(self.config)


def is_bundle(folder: Path) -> bool:
    """Whether a folder holds a bundle."""
    return (folder / HEADER).is_file()


def write_bundle(
    folder: Path, config: ConfigDict, *, classes: tuple[str, ...], channels: int, step: int, variables: Any,
    calibration: dict[str, float],
) -> None:  # fmt: skip
    """Write a bundle of variables (NumPy arrays) over an earlier one. Raises OSError where the folder cannot be written."""
    height, width = config.data.image_size
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in named(variables).items()}  # `ascontiguousarray` adds an axis to none
    tensors = packed.pack(arrays, config.compression)
    arrays = {name: packed.unpack(name, tensors, tensors.__getitem__, array.shape) for name, array in arrays.items()}
    bundle = Bundle(
        format=FORMAT if tensors.keys() == arrays.keys() else PACKED,
        imgloc=importlib.metadata.version("imgloc"),
        task=config.task,
        classes=classes,
        input=Input(height, width, channels, config.data.resize),
        step=step,
        config=schema.to_json(config),
        arrays={name: checksum(array) for name, array in arrays.items()},
        fingerprint="",
        calibration=calibration,
    )
    bundle = msgspec.structs.replace(bundle, fingerprint=_fingerprint(bundle))
    # Both files contain the step: after a crash between the two renames they disagree, and are refused.
    files.write_bytes(folder / VARIABLES, save(tensors, metadata={"step": str(step)}))
    files.write_bytes(folder / HEADER, msgspec.json.format(msgspec.json.encode(bundle), indent=2) + b"\n")


def read_bundle(folder: Path) -> Bundle:
    """What a bundle is. Raises UserError where there is none, or it is damaged or of another version."""
    try:
        bundle = msgspec.json.decode((folder / HEADER).read_bytes(), type=Bundle)
    except FileNotFoundError:
        raise UserError(f"no trained model in '{folder}': it has no {HEADER}; possible: RUN/model of a run of imgloc train") from None
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(f"cannot read '{folder / HEADER}': {one_line(error)}; copy the model again, or train the run again") from error
    except RecursionError:
        raise UserError(f"cannot read '{folder / HEADER}': it is nested too deeply; copy the model again, or train the run again") from None
    if bundle.format not in (FORMAT, PACKED):
        raise UserError(f"'{folder}' is a bundle of format {bundle.format}, expected {FORMAT} or {PACKED}; use imgloc {bundle.imgloc}")
    if bundle.fingerprint != _fingerprint(bundle):
        raise UserError(f"'{folder / HEADER}' is damaged or was changed; copy the bundle again, or train the run again")
    check_imports({**bundle.config, "task": bundle.task}, str(folder / HEADER))
    return bundle


def _fingerprint(bundle: Bundle) -> str:
    return files.fingerprint(msgspec.to_builtins(msgspec.structs.replace(bundle, fingerprint="")))


def checksum(array: np.ndarray) -> str:
    """A checksum of an array's values, dtype and shape; every single flipped bit changes it."""
    header = f"{array.dtype} {array.shape}".encode()
    return f"{zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, zlib.crc32(header)):08x}"


def load_variables(folder: Path, bundle: Bundle, expected: Any, devices: Mesh) -> Any:
    """The variables of a bundle, on the devices, one array at a time.

    `expected` has the shapes and dtypes that the model needs. Raises UserError where the file lacks an array, has another one,
    or has one of another shape or dtype.
    """
    path, arrays = folder / VARIABLES, named(expected)
    try:
        with safe_open(path, framework="numpy") as file:
            if file.metadata() != {"step": str(bundle.step)}:
                raise UserError(f"'{folder}' mixes the files of two steps; copy both files of one model again, or resume the run")
            keys = set(file.keys())
        stored = packed.names(keys)
        if stored != set(arrays):
            name = min(stored ^ set(arrays))
            which, model = "lacks" if name in arrays else "has an unknown", bundle.resolved.model.name
            raise UserError(f"'{path}' {which} array '{name}'; expected the arrays of model '{model}'")
        loaded = {name: _put(_read(path, name, keys, arrays[name].shape), name, arrays[name], devices, bundle) for name in arrays}
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read '{path}': {one_line(error)}; copy the model again, or train the run again") from error
    return unnamed(loaded, expected)


def _read(path: Path, name: str, keys: Collection[str], shape: tuple[int, ...]) -> Any:
    """One array. The file is opened for each: the pages that safetensors maps of it stay in memory until it is closed."""
    with safe_open(path, framework="numpy") as file:
        return packed.unpack(name, keys, file.get_tensor, shape)


def _put(array: Any, name: str, like: Any, devices: Mesh, bundle: Bundle) -> jax.Array:
    if array.shape != like.shape or array.dtype != like.dtype:
        got, expected = f"{array.shape} {array.dtype}", f"{like.shape} {like.dtype}"
        raise UserError(f"array '{name}' of the bundle is {got}, the model needs {expected}")
    if checksum(array) != bundle.arrays.get(name):
        raise UserError(f"array '{name}' of the bundle is damaged; copy the bundle again, or train the run again")
    return jax.make_array_from_callback(array.shape, mesh.parameter_sharding(array.shape, devices), lambda index: array[index])


def named(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their path, `params/a/b`."""
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def unnamed(leaves: Mapping[str, Any], like: Any) -> Any:
    """The tree of the structure of `like` with leaves by their path; the inverse of `named`."""
    return jax.tree_util.tree_map_with_path(lambda path, _: leaves[_name(path)], like)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")
