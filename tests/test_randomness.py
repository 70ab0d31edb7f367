"""Generators of (seed, purpose, index), the same in every process."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from imgloc.randomness import generator, permutation, purpose_number


def test_each_seed_purpose_and_index_has_its_own_stream() -> None:
    keys = list(itertools.product((0, 1, 2), ("canvas train", "canvas test", "digit order"), (0, 1, 2**40)))
    draws = {key: tuple(generator(*key).integers(2**62, size=4).tolist()) for key in keys}
    assert len(set(draws.values())) == len(keys)
    assert draws == {key: tuple(generator(*key).integers(2**62, size=4).tolist()) for key in reversed(keys)}


def test_the_streams_have_golden_values_in_every_process() -> None:
    """Canvases and orders depend on these values. If NumPy changed PCG64, results would no longer be comparable."""
    code = "from imgloc.randomness import generator; print(generator(0, 'golden', 7).integers(1000, size=5).tolist())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == str(generator(0, "golden", 7).integers(1000, size=5).tolist()) == "[383, 381, 220, 905, 118]"
    assert purpose_number("init") == 3329549428


def test_permutations_are_complete_and_read_only() -> None:
    order = permutation(0, "order", 0, 100)
    assert sorted(order.tolist()) == list(range(100))
    assert order.tolist() != list(range(100))
    assert order.tolist() != permutation(0, "order", 1, 100).tolist() != permutation(1, "order", 1, 100).tolist()
    with pytest.raises(ValueError, match="read-only"):
        order[0] = 3
    permutation.cache_clear()
    np.testing.assert_array_equal(permutation(0, "order", 0, 100), order)
