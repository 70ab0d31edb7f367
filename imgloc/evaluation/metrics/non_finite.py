"""How often a model gives no answer: its outputs contain NaN or infinity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imgloc.interfaces import Metric, MetricFamily
from imgloc.types import FloatArray, Row


def per_row(rows: Sequence[Row]) -> Mapping[str, FloatArray]:
    """`non_finite` [n]: 1.0 where an output is NaN or infinite, else 0.0."""
    return {"non_finite": np.array([float(not row["finite"]) for row in rows])}


METRICS = MetricFamily(
    columns=("finite",),  # of rows of which at least one is not finite
    metrics=(
        Metric(
            "non_finite",
            "Not finite",
            "share of images for which an output of the model is NaN or infinite; they count as wrong",
            higher_is_better=False,
            worst=1.0,
        ),
    ),
    per_row=per_row,
)
