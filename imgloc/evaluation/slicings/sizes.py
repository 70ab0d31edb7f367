"""Rows by the size of the largest true box of the class of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imgloc import boxes
from imgloc.interfaces import Slicing
from imgloc.types import BoolArray, Row


def parts(rows: Sequence[Row], classes: Sequence[str]) -> Mapping[str, BoolArray]:
    """Masks [n] of small, medium and large, where they occur; rows without a box are in none of them."""
    side_n = np.array([np.sqrt(boxes.area(np.asarray(row["boxes"][0]))) if row["boxes"] else np.nan for row in rows])
    masks = {name: (side_n >= low) & (side_n < high) for name, (low, high) in boxes.SIZES.items()}
    return {name: mask for name, mask in masks.items() if mask.any()}


def _note(low: float, high: float) -> str:
    if low <= 0:
        return f"below {100 * high:g} %"
    return f"{100 * low:g} % and more" if high > 1 else f"{100 * low:g} % to {100 * high:g} %"


SLICING = Slicing(
    key="size",
    title="By box size",
    meaning="Size is the side of a square with the area of the largest true box of the image's class, as a share of the image's side.",
    parts=parts,
    columns=("boxes",),
    notes={name: _note(low, high) for name, (low, high) in boxes.SIZES.items()},
)
