"""The most frequent class of the training split, for every image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgloc.interfaces import Baseline
from imgloc.types import Batch, FloatArray, Outputs, Truth


def class_counts(truths: Sequence[Truth], num_classes: int) -> list[int]:
    """The number of examples of each class."""
    counts: list[int] = np.bincount([truth.label for truth in truths], minlength=num_classes).tolist()
    return counts


def log_frequency(counts: Sequence[int]) -> FloatArray:
    """Logits [k] whose softmax is the share of each class."""
    frequency = np.maximum(np.asarray(counts, np.float64), 1e-9) / max(1, sum(counts))
    return np.log(frequency).astype(np.float32)


def predict(counts: Sequence[int], batch: Batch) -> Outputs:
    """`logits` (b, k), the same for each image."""
    return {"logits": np.tile(log_frequency(counts), (len(batch.label_b), 1))}


BASELINE = Baseline(
    title="most frequent class",
    meaning="the most frequent class of training for every image",
    tasks=("classify",),
    fit=class_counts,
    predict=predict,
)
