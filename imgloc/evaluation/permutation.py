"""Tests of paired differences by permutation, and the correction for several tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgloc.types import BoolArray, FloatArray

TOLERANCE = 1e-9  # relative; differences that are equal but for rounding count as equal


def swaps(groups: int, *, samples: int, seed: int) -> BoolArray:
    """Returns [r, groups]: in which groups of images the two sides of a pair change places.

    Where there are at most `samples` ways to swap, these are all of them, the first without a swap; else `samples` random ones.
    """
    if groups < 63 and 2**groups <= samples:
        return np.asarray((np.arange(2**groups)[:, None] >> np.arange(groups)) % 2 == 1)
    return np.random.default_rng(seed).random((samples, groups)) < 0.5


def p_value(difference: float, permuted_r: FloatArray, *, exact: bool) -> float:
    """Returns the two-sided p value of a difference among those of permutations, which are symmetric about 0.

    `exact` means that these are all permutations. A random sample counts the observed difference as one more of them (Phipson and
    Smyth, 2010, Stat. Appl. Genet. Mol. Biol. 9:39), so that the p value is never 0. NaN values do not count.
    """
    permuted_r = permuted_r[~np.isnan(permuted_r)]
    reached = int((np.abs(permuted_r) >= abs(difference) * (1 - TOLERANCE)).sum())
    return reached / len(permuted_r) if exact else (reached + 1) / (len(permuted_r) + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p values that are corrected for their number, in their order (Holm, 1979, Scand. J. Stat. 6:65).

    The probability that one or more of those below 0.05 are false positives is at most 0.05.
    """
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, p_values[i] * (len(p_values) - rank)))
        adjusted[i] = highest
    return adjusted
