"""Say what is in the image and where: one class and one box."""

from __future__ import annotations

import numpy as np

from imgloc.tasks import classify
from imgloc.types import Batch, Outputs, Row

NEEDS = ("logits", "box")


def rows(outputs: Outputs, batch: Batch) -> list[Row]:
    """Rows of `classify` with the predicted box of each example."""
    boxes_bx4 = np.asarray(outputs["box"], dtype=np.float32)[np.flatnonzero(batch.example_mask_b)]
    found = classify.rows(outputs, batch)
    return [{**row, "pred_box": [float(edge) for edge in box]} for row, box in zip(found, boxes_bx4, strict=True)]
