"""The truths of the examples of a batch."""

from __future__ import annotations

import numpy as np

from imgloc.types import Batch, Tracks, Truth


def truths_of(batch: Batch) -> list[Truth]:
    """The truth of each example of a batch, padding left out."""
    truths = []
    for i in np.flatnonzero(np.asarray(batch.example_mask_b)).tolist():
        present = np.asarray(batch.object_mask_bxn[i])
        tracks = batch.tracks and Tracks(*(np.asarray(each)[i][:, present] for each in batch.tracks))
        boxes_nx4, labels_n = np.asarray(batch.boxes_bxnx4[i])[present], np.asarray(batch.labels_bxn[i])[present]
        truths.append(Truth(boxes_nx4, labels_n, int(batch.label_b[i]), str(i), tracks=tracks))
    return truths
