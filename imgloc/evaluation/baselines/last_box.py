"""The box of the first frame in every frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from imgloc import boxes
from imgloc.interfaces import Baseline
from imgloc.types import Batch, Outputs, Truth


def fit(truths: Sequence[Truth], num_classes: int) -> Any:
    """Nothing: the box is given."""
    return None


def predict(fitted: Any, batch: Batch) -> Outputs:
    """The given box in every frame."""
    frames = 1 if batch.tracks is None else np.asarray(batch.tracks.boxes).shape[1]
    given = boxes.from_window(np.asarray(batch.boxes_bxnx4, np.float32), np.asarray(batch.content_bx4)[:, None])
    tracks = np.repeat(given[:, None], frames, axis=1)
    return {"tracks": tracks, "track_scores": np.repeat(np.asarray(batch.object_mask_bxn, np.float32)[:, None], frames, axis=1)}


BASELINE = Baseline(
    title="first box",
    meaning="the box of the first frame in every frame",
    tasks=("track",),
    fit=fit,
    predict=predict,
)
