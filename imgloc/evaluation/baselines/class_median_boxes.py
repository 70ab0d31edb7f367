"""The median box of each class of the training split, for every image, with the share of training images that show the class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imgloc.boxes import from_window
from imgloc.interfaces import Baseline
from imgloc.types import Batch, Outputs, Truth


def fit(truths: Sequence[Truth], num_classes: int) -> dict[str, Any]:
    """`boxes`, the median of each edge over the objects of each class, and `scores`, the share of images with one; zeros without any."""
    boxes, scores = np.zeros((num_classes, 4)), np.zeros(num_classes)
    for k in range(num_classes):
        own = [truth.boxes_nx4[truth.labels_n == k] for truth in truths]
        shown = sum(len(each) > 0 for each in own)
        if shown:
            boxes[k], scores[k] = np.median(np.concatenate(own), axis=0), shown / len(truths)
    return {"boxes": boxes.tolist(), "scores": scores.tolist()}


def predict(fitted: Mapping[str, Any], batch: Batch) -> Outputs:
    """`boxes` (b, k, 4) on the input, `scores` (b, k) and `labels` (b, k), the same for each image."""
    b, k = len(batch.label_b), len(fitted["scores"])
    boxes, scores = (np.asarray(fitted[name], np.float32) for name in ("boxes", "scores"))
    return {
        "boxes": from_window(np.broadcast_to(boxes, (b, k, 4)), batch.content_bx4[:, None]),
        "scores": np.broadcast_to(scores, (b, k)),
        "labels": np.broadcast_to(np.arange(k), (b, k)),
    }


BASELINE = Baseline(
    title="class median boxes",
    meaning="for each class the median of each box edge in training, with the share of training images that show the class as score",
    tasks=("detect",),
    fit=fit,
    predict=predict,
)
