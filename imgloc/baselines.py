"""The trivial answers that stand beside every model: the same box and class for every image."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from imgloc.types import Batch, FloatArray, IntArray, Outputs, Predict, Truth


def whole_image(class_counts: IntArray) -> Predict:
    """The box of the whole image, and the commonest class of training."""
    return _constant(class_counts, np.array([0.0, 0.0, 1.0, 1.0], np.float32))


def median_box(class_counts: IntArray, box: FloatArray) -> Predict:
    """The median of each edge over the training boxes, and the commonest class of training."""
    return _constant(class_counts, np.asarray(box, np.float32))


def _constant(class_counts: IntArray, box: FloatArray) -> Predict:
    log_frequency = np.log(np.maximum(class_counts, 1e-9) / max(1, class_counts.sum())).astype(np.float32)

    def predict(batch: Batch) -> Outputs:
        size = len(batch.label_b)
        return {"logits": np.tile(log_frequency, (size, 1)), "box": np.tile(box, (size, 1))}

    return predict


def training_summary(truths: Iterable[Truth], num_classes: int) -> tuple[IntArray, FloatArray]:
    """Examples a class, and the median box of the largest objects, of what is true of examples of a training split."""
    counts, found = np.zeros(num_classes, np.int64), []
    for truth in truths:
        counts[truth.label] += 1
        if len(truth.boxes_nx4):
            sides = truth.boxes_nx4[:, 2:] - truth.boxes_nx4[:, :2]
            found.append(truth.boxes_nx4[int(np.argmax(sides.prod(axis=1)))])
    return counts, np.median(np.stack(found), axis=0) if found else np.array([0.0, 0.0, 1.0, 1.0])
