"""Random generators derived from (seed, purpose, index), so that no state of a generator has to be stored."""

from __future__ import annotations

import functools
import zlib

import numpy as np

from imgloc.types import IntArray


def purpose_number(purpose: str) -> int:
    """Return a number for the name of a purpose that is the same in every process."""
    return zlib.crc32(purpose.encode())


def generator(seed: int, purpose: str, index: int) -> np.random.Generator:
    """Return the NumPy generator of a (seed, purpose, index)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, purpose_number(purpose), index))))


@functools.lru_cache(maxsize=4)
def permutation(seed: int, purpose: str, index: int, size: int) -> IntArray:
    """Return a random permutation [size], read-only; it is cached because an epoch reads it item by item."""
    order = generator(seed, purpose, index).permutation(size)
    order.setflags(write=False)
    return order
