"""The median box and the most frequent class of the training split, for every image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imgloc import boxes
from imgloc.evaluation.baselines import majority_class
from imgloc.interfaces import Baseline
from imgloc.types import Batch, FloatArray, Outputs, Truth


def fit(truths: Sequence[Truth], num_classes: int) -> dict[str, Any]:
    """`class_counts`, and `box`: the median of each edge over the largest box of each image, the whole image without any box."""
    largest = [truth.boxes_nx4[boxes.largest(truth.boxes_nx4)] for truth in truths if len(truth.boxes_nx4)]
    box: FloatArray = np.median(np.stack(largest), axis=0) if largest else np.array([0.0, 0.0, 1.0, 1.0])
    return {"class_counts": majority_class.class_counts(truths, num_classes), "box": [float(edge) for edge in box]}


def predict(fitted: Mapping[str, Any], batch: Batch) -> Outputs:
    """`logits` (b, k) and `box` (b, 4) on the input, the same for each image."""
    box = np.tile(np.asarray(fitted["box"], np.float32), (len(batch.label_b), 1))
    return {**majority_class.predict(fitted["class_counts"], batch), "box": boxes.from_window(box, np.asarray(batch.content_bx4))}


BASELINE = Baseline(
    title="median box",
    meaning="the median of each box edge in training and the most frequent class of training",
    tasks=("localize", "localize_from_labels"),
    fit=fit,
    predict=predict,
)
