"""Are the objects' classes right, from left to right?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgloc import boxes
from imgloc.types import FloatArray, Row

COLUMNS = ("boxes", "labels", "read")


def per_row(rows: Sequence[Row]) -> dict[str, FloatArray]:
    """[n] each: `labels_right`, the share of an image's objects whose label is right; `sequence_right`, 1.0 where all are, else 0.0.

    Objects beyond the places that were read count as wrong, places beyond the objects are not looked at. NaN without an object.
    """
    right = [_right(row) for row in rows]
    return {
        "labels_right": np.array([float(np.mean(each)) if each else np.nan for each in right]),
        "sequence_right": np.array([float(all(each)) if each else np.nan for each in right]),
    }


def _right(row: Row) -> list[bool]:
    """Of each object from left to right whether its label was read."""
    order = boxes.reading_order(np.asarray(row["boxes"], np.float64).reshape(-1, 4))
    said = [*row["read"], *[-1] * len(order)]
    return [row["labels"][object_number] == label for object_number, label in zip(order, said, strict=False)]
