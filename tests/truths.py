"""The truths of the examples of a batch."""

from __future__ import annotations

import numpy as np

from imgloc.types import Batch, Truth


def truths_of(batch: Batch) -> list[Truth]:
    """The truth of each example of a batch, padding left out."""
    truths = []
    for i in np.flatnonzero(np.asarray(batch.example_mask_b)).tolist():
        present = np.asarray(batch.object_mask_bxn[i])
        truths.append(
            Truth(np.asarray(batch.boxes_bxnx4[i])[present], np.asarray(batch.labels_bxn[i])[present], int(batch.label_b[i]), str(i))
        )
    return truths
