"""Every source of randomness is a generator derived from (seed, purpose, index); nothing else is stored."""

from __future__ import annotations

import functools
import zlib

import numpy as np

from imgloc.types import IntArray


def purpose_number(purpose: str) -> int:
    """The same number for a purpose's name in every process."""
    return zlib.crc32(purpose.encode())


def generator(seed: int, purpose: str, index: int) -> np.random.Generator:
    """A NumPy generator of its own for each (seed, purpose, index)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, purpose_number(purpose), index))))


@functools.lru_cache(maxsize=4)
def permutation(seed: int, purpose: str, index: int, size: int) -> IntArray:
    """One order of `size` things, kept for the calls that follow (an epoch asks for it item by item)."""
    order = generator(seed, purpose, index).permutation(size)
    order.setflags(write=False)
    return order
