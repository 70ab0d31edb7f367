"""Storages and tensors of PyTorch files as NumPy arrays; every number that a file gives is checked before it is used."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgloc.errors import UserError

#: The little-endian dtype of each class of storages in PyTorch. NumPy has no bfloat16: its two bytes are read as an integer.
STORAGE_DTYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "<u2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "?",
}  # fmt: skip
MAX_AXES = 8
MAX_NUMBER = 2**63  # of an offset, a length or a stride; products of longer ones would take long


@dataclass(frozen=True, eq=False)
class Storage:
    """The one-dimensional memory that tensors are views of."""

    kind: str  # a key of STORAGE_DTYPES
    key: str  # its name in the file
    size: int  # elements
    read: Callable[[Storage], bytes]  # returns its bytes, `nbytes` of them, or raises UserError
    big_endian: bool = False

    @property
    def nbytes(self) -> int:
        """The number of its bytes."""
        return self.size * np.dtype(STORAGE_DTYPES[self.kind]).itemsize

    @functools.cached_property
    def values(self) -> np.ndarray:
        """Its elements."""
        dtype = np.dtype(STORAGE_DTYPES[self.kind])
        return np.frombuffer(self.read(self), dtype.newbyteorder(">") if self.big_endian else dtype)


@dataclass(frozen=True)
class Tensor:
    """A strided view of a storage, whose bytes are not read yet. `check` has accepted its numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # elements

    def numpy(self) -> np.ndarray:
        """Returns a contiguous copy; bfloat16 becomes float32."""
        values = self.storage.values
        if not math.prod(self.shape):
            return np.zeros(self.shape, values.dtype)
        steps = tuple(stride * values.itemsize for stride in self.strides)
        view = np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps, writeable=False)
        if self.storage.kind == "BFloat16Storage":  # the upper half of a float32
            return (view.astype(np.uint32) << 16).view(np.float32)
        return np.array(view, view.dtype.newbyteorder("="), order="C")


def check(storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    """The tensor of arguments that a file gives. Raises UserError unless it is a view that lies within its storage.

    A view may repeat elements, but it must not have more of them than its storage.
    """
    numbers = (offset, *shape, *strides) if isinstance(shape, tuple) and isinstance(strides, tuple) else (None,)
    if not isinstance(storage, Storage) or not all(type(number) is int and 0 <= number < MAX_NUMBER for number in numbers):
        raise UserError("a tensor is not described by a storage, an offset, a shape and strides")
    if len(shape) != len(strides) or len(shape) > MAX_AXES:
        raise UserError(f"a tensor has {len(shape)} axes and {len(strides)} strides; expected the same number, at most {MAX_AXES}")
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if math.prod(shape) and (last >= storage.size or math.prod(shape) > storage.size):
        raise UserError(f"a tensor of shape {shape}, strides {strides} and offset {offset} exceeds its storage of {storage.size} elements")
    return Tensor(storage, offset, shape, strides)
