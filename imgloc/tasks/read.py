"""Say what objects are in the image, from left to right."""

from __future__ import annotations

import numpy as np

from imgloc.tasks import classify
from imgloc.types import Batch, Outputs, Row

NEEDS = ("logits", "sequence")


def rows(outputs: Outputs, batch: Batch) -> list[Row]:
    """Rows of `classify`, of the first object, with `read`: the likeliest class of each place of the sequence; a baseline says none."""
    if "sequence" not in outputs:
        return classify.rows(outputs, batch)
    read_bxs = np.asarray(outputs["sequence"]).argmax(axis=-1)[np.flatnonzero(batch.example_mask_b)]
    found = classify.rows(outputs, batch)
    return [{**row, "read": [int(label) for label in labels]} for row, labels in zip(found, read_bxs, strict=True)]
