"""Say what is in the image."""

from __future__ import annotations

from typing import Any

import numpy as np

from imgloc.types import Batch, Outputs, Row

NEEDS = ("logits",)
TOP = 5


def rows(outputs: Outputs, batch: Batch) -> list[Row]:
    """The truth and the `TOP` likeliest classes of each example of the batch, padding left out (NumPy)."""
    logits_bxk = np.asarray(outputs["logits"], dtype=np.float64)
    exponent = np.exp(logits_bxk - logits_bxk.max(axis=-1, keepdims=True))
    probabilities_bxk = exponent / exponent.sum(axis=-1, keepdims=True)
    order_bxt = np.argsort(-probabilities_bxk, axis=-1, kind="stable")[:, :TOP]
    return [
        {
            **truth(batch, i),
            "top_labels": [int(k) for k in order_bxt[i]],
            "top_scores": [float(np.float32(probabilities_bxk[i, k])) for k in order_bxt[i]],
        }
        for i in np.flatnonzero(batch.example_mask_b)
    ]


def truth(batch: Batch, i: Any) -> Row:
    """The truth columns of example i."""
    present = batch.object_mask_bxn[i]
    return {
        "label": int(batch.label_b[i]),
        "boxes": [[float(edge) for edge in box] for box in batch.boxes_bxnx4[i][present]],
        "labels": [int(label) for label in batch.labels_bxn[i][present]],
    }
