"""Is the class right?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgloc.types import FloatArray, Row

COLUMNS = ("label", "top_labels")


def per_row(rows: Sequence[Row]) -> dict[str, FloatArray]:
    """`top1` [n]: 1.0 where the likeliest class is the image's, else 0.0."""
    return {"top1": np.array([float(row["top_labels"][0] == row["label"]) for row in rows])}
