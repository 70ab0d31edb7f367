"""Top-1 accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imgloc.interfaces import Metric, MetricFamily
from imgloc.tasks.classify import is_correct
from imgloc.types import FloatArray, Row


def per_row(rows: Sequence[Row]) -> Mapping[str, FloatArray]:
    """`top1` [n]: 1.0 where the predicted class is the true one, else 0.0."""
    return {"top1": is_correct(rows)}


METRICS = MetricFamily(
    columns=("label", "top_labels"),
    metrics=(Metric("top1", "Top-1 accuracy", "share of images whose predicted class is correct"),),
    per_row=per_row,
)
