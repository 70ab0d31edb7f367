"""Rows by the number of true objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imgloc.interfaces import Slicing
from imgloc.types import BoolArray, Row

EACH = 5  # the highest number of objects that has a separate part
HIGHEST = (10, 20, 50, 100)  # numbers of the next parts; the last part has those above


def parts(rows: Sequence[Row], classes: Sequence[str]) -> Mapping[str, BoolArray]:
    """Masks [n] of 0, 1, ..., EACH objects, and of the ranges above, where they occur."""
    count_n = np.array([len(row["boxes"]) for row in rows])
    ranges = {str(number): (number, number) for number in range(EACH + 1)}
    for below, high in zip((EACH, *HIGHEST), HIGHEST, strict=False):
        ranges[f"{below + 1} to {high}"] = (below + 1, high)
    ranges[f"above {HIGHEST[-1]}"] = (HIGHEST[-1] + 1, np.iinfo(np.int64).max)
    masks = {name: (count_n >= low) & (count_n <= high) for name, (low, high) in ranges.items()}
    return {name: mask for name, mask in masks.items() if mask.any()}


SLICING = Slicing(
    key="objects",
    title="By number of objects",
    meaning="Images by the number of their true objects; n is the number of images.",
    parts=parts,
    columns=("boxes", "detected_boxes"),
    notes={},
)
