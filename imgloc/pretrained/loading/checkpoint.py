"""The tensors of a file of published weights, by name: safetensors, or a file of PyTorch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from imgloc.errors import UserError, one_line, printable, storage_message
from imgloc.pretrained.loading.pytorch import read_pytorch
from imgloc.pretrained.loading.tensors import Tensor

STATES = ("state_dict", "model")  # entries of a training checkpoint that hold the tensors
PARALLEL = "module."  # a prefix of all names in a model that was trained with PyTorch's DataParallel


class StoredTensor(NamedTuple):
    """A tensor in a file."""

    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]  # returns a copy, contiguous, of any real dtype


def read_checkpoint(path: Path) -> Mapping[str, StoredTensor]:
    """The tensors of a file by name; they are read from it when they are used. Nothing in the file is executed.

    The file is a .safetensors file or a file of torch.save (.pth, .pt, .bin): a dict of tensors, or one under `state_dict` or `model`.
    Raises UserError for a file that is missing, damaged, or holds anything but tensors and plain values.
    """
    try:
        tensors = _safetensors(path) if path.suffix == ".safetensors" else _pytorch(path)
    except OSError as error:
        raise UserError(f"weights: {storage_message(error)}") from error
    except UserError as error:
        raise UserError(
            f"cannot read the weights '{path}': {error}; expected a .safetensors file, or a .pth file that contains only tensors"
        ) from error
    parallel = all(name.startswith(PARALLEL) for name in tensors)
    return {name.removeprefix(PARALLEL): tensor for name, tensor in tensors.items()} if parallel else tensors


def _pytorch(path: Path) -> dict[str, StoredTensor]:
    value = read_pytorch(path)
    state = next((value[key] for key in STATES if isinstance(value, dict) and isinstance(value.get(key), dict)), value)
    if not isinstance(state, dict) or not any(isinstance(each, Tensor) for each in state.values()):
        raise UserError("it holds no dict of tensors")
    return {printable(str(name)): StoredTensor(each.shape, each.numpy) for name, each in state.items() if isinstance(each, Tensor)}


def _safetensors(path: Path) -> dict[str, StoredTensor]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {
                name: StoredTensor(tuple(file.get_slice(name).get_shape()), functools.partial(_read_safetensor, path, name))
                for name in file.keys()  # noqa: SIM118  # it is not iterable itself
            }
    except SafetensorError as error:
        raise UserError(f"it is damaged ({one_line(error)})") from error


def _read_safetensor(path: Path, name: str) -> Any:
    with safe_open(path, framework="numpy") as file:
        return file.get_tensor(name)
