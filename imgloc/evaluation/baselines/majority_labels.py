"""The most frequent class of the objects of the training split, for every object of every image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imgloc.evaluation.baselines import majority_class
from imgloc.interfaces import Baseline
from imgloc.types import Batch, Outputs, Truth


def fit(truths: Sequence[Truth], num_classes: int) -> dict[str, list[int]]:
    """The number of images of each class, and of objects of each class."""
    labels = np.concatenate([np.zeros(0, np.int64), *(truth.labels_n for truth in truths)]).astype(np.int64)
    counts = np.bincount(labels, minlength=num_classes).tolist()
    return {"class_counts": majority_class.class_counts(truths, num_classes), "label_counts": counts}


def predict(fitted: Mapping[str, Any], batch: Batch) -> Outputs:
    """`logits` (b, k) and `sequence` (b, n, k), the same for each image and object."""
    shape = (*batch.labels_bxn.shape, 1)
    sequence = np.tile(majority_class.log_frequency(fitted["label_counts"]), shape)
    return {**majority_class.predict(fitted["class_counts"], batch), "sequence": sequence}


BASELINE = Baseline(
    title="most frequent classes",
    meaning="the most frequent class of objects in training for every object",
    tasks=("read_sequence",),
    fit=fit,
    predict=predict,
)
