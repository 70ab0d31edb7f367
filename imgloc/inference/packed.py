"""Arrays of a bundle in few bytes: kernels as 8-bit integers with scales, and arrays with many zeros as the rest with a bit mask.

An array NAME is stored as it is, or as up to three tensors:

    NAME         its values: all of them in its shape, or, with a mask, the ones that are not 0, in a row
    NAME:mask    a bit for each value, 1 where it is not 0; eight in a byte, the first in the highest bit
    NAME:scale   float32, one for each index of the last axis, by which 8-bit integers are multiplied
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

import numpy as np
from ml_collections import ConfigDict

from imgloc.errors import UserError
from imgloc.nn.quantization import CALIBRATIONS, compressed_mask, to_integers

MASK, SCALE = ":mask", ":scale"


def pack(arrays: Mapping[str, np.ndarray], compression: ConfigDict) -> dict[str, np.ndarray]:
    """The tensors of a file for arrays by path (`params/a/kernel`). Without compression they are the arrays."""
    if not (compression.int8 or compression.sparsity):
        return dict(arrays)
    params = {name.removeprefix("params/"): array for name, array in arrays.items() if name.startswith("params/")}
    mask = compressed_mask(params, [re.compile(pattern) for pattern in compression.exclude])
    chosen = {f"params/{name}" for name, is_chosen in mask.items() if is_chosen}
    tensors: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        values = array
        if compression.int8 and name in chosen:
            scale = np.asarray(CALIBRATIONS[compression.calibration](array))
            values = np.asarray(to_integers(array, scale)).astype(np.int8)
            tensors[name + SCALE] = scale
        kept = values.reshape(-1) != 0
        if name in chosen and -(-kept.size // 8) + kept.sum() * values.itemsize < values.nbytes:
            tensors[name + MASK] = np.packbits(kept)
            values = values.reshape(-1)[kept]
        tensors[name] = values
    return tensors


def names(keys: Collection[str]) -> set[str]:
    """The names of the arrays that a file with these tensors holds."""
    return {key.removesuffix(MASK).removesuffix(SCALE) for key in keys}


def unpack(name: str, keys: Collection[str], get: Callable[[str], np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """The array of a name, of a shape if it has a mask. `get` reads a tensor. Raises UserError for tensors that do not fit together."""
    values = get(name)
    if name + MASK in keys:
        size = int(np.prod(shape))
        bits = get(name + MASK)
        if bits.dtype != np.uint8 or bits.shape != (-(-size // 8),):
            raise UserError(f"the mask of array '{name}' of the bundle has another size than the array; copy the bundle again")
        kept = np.unpackbits(bits, count=size).astype(bool)
        if values.shape != (int(kept.sum()),):
            raise UserError(f"array '{name}' of the bundle has {values.size} values, its mask has {kept.sum()}; copy the bundle again")
        full = np.zeros(size, values.dtype)
        full[kept] = values
        values = full.reshape(shape)
    if name + SCALE in keys:
        scale = get(name + SCALE)
        if values.dtype != np.int8 or scale.dtype != np.float32 or scale.shape != values.shape[-1:]:
            raise UserError(f"array '{name}' of the bundle does not fit its scales; copy the bundle again")
        values = values.astype(np.float32) * scale
    return values
