"""Say what is in the image."""

from __future__ import annotations

from typing import Any

import numpy as np

from imgloc.types import Batch, Outputs, Row

NEEDS = ("logits",)
TOP = 5
DIGITS = 5  # of windows


def rows(outputs: Outputs, batch: Batch) -> list[Row]:
    """The truth, the `TOP` likeliest classes and, of a model that looks around, its windows; padding is left out (NumPy)."""
    logits_bxk = np.asarray(outputs["logits"], dtype=np.float64)
    exponent = np.exp(logits_bxk - logits_bxk.max(axis=-1, keepdims=True))
    probabilities_bxk = exponent / exponent.sum(axis=-1, keepdims=True)
    order_bxt = np.argsort(-probabilities_bxk, axis=-1, kind="stable")[:, :TOP]
    return [
        {
            **truth(batch, i),
            "top_labels": [int(k) for k in order_bxt[i]],
            "top_scores": [float(np.float32(probabilities_bxk[i, k])) for k in order_bxt[i]],
            **({"looks": rounded(outputs["looks"][i])} if "looks" in outputs else {}),
        }
        for i in np.flatnonzero(batch.example_mask_b)
    ]


def rounded(windows_gx4: Any) -> list[list[float]]:
    """Windows as rows hold them: a hundred-thousandth of the image is finer than any picture, and many windows take little room."""
    found: list[list[float]] = (np.asarray(windows_gx4, np.float64).round(DIGITS) + 0.0).tolist()  # without -0.0
    return found


def truth(batch: Batch, i: Any) -> Row:
    """The truth columns of example i."""
    present = batch.object_mask_bxn[i]
    return {
        "label": int(batch.label_b[i]),
        "boxes": [[float(edge) for edge in box] for box in batch.boxes_bxnx4[i][present]],
        "labels": [int(label) for label in batch.labels_bxn[i][present]],
    }
