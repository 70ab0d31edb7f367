"""The tracks of a video in a row, and as arrays.

`track_boxes` and `pred_tracks` hold one list for each object or predicted track: a box in [0, 1] for each frame, or None without one.
`track_visible` is the share of each object that can be seen in each frame. `started` is the number of objects with a box in the first
frame. They come first, and the predicted tracks with the same numbers follow them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgloc import boxes
from imgloc.types import FloatArray, Row

COLUMNS = ("track_boxes", "track_visible", "pred_tracks", "started", "width", "height")
Track = Sequence[Sequence[float] | None]


def as_lists(boxes_txnx4: FloatArray, present_txn: FloatArray) -> list[list[list[float] | None]]:
    """The tracks of a row, n lists of t boxes, from arrays."""
    return [
        [[float(edge) for edge in box] if there else None for box, there in zip(boxes_txnx4[:, k], present_txn[:, k] > 0, strict=True)]
        for k in range(boxes_txnx4.shape[1])
    ]


def as_array(track: Track, frames: int) -> FloatArray:
    """The boxes (t, 4) of the first `frames` frames of a track, NaN where it has none."""
    boxes_tx4 = np.full((frames, 4), np.nan)
    for place, box in zip(range(frames), track, strict=False):
        if box is not None:
            boxes_tx4[place] = box
    return boxes_tx4


def _frames(row: Row) -> int:
    """The number of frames of the truth, or of the predictions where no object is true."""
    return len(row["track_boxes"][0]) if row["track_boxes"] else max(map(len, row["pred_tracks"]), default=0)


def true_tracks(row: Row) -> FloatArray:
    """The boxes (n, t, 4) of all objects, in pixels of the frames, NaN where an object is absent."""
    frames = _frames(row)
    every = [as_array(track, frames) for track in row["track_boxes"]]
    return boxes.to_pixels(np.array(every).reshape(len(every), frames, 4), row["width"] or 1, row["height"] or 1)


def predicted_tracks(row: Row) -> FloatArray:
    """The boxes (m, t, 4) of all predicted tracks, in pixels, for the frames of the truth; NaN where there is none."""
    frames = _frames(row)
    every = [as_array(track, frames) for track in row["pred_tracks"]] if row.get("finite", True) else []
    return boxes.to_pixels(np.array(every).reshape(len(every), frames, 4), row["width"] or 1, row["height"] or 1)


def paired_tracks(row: Row) -> tuple[FloatArray, FloatArray]:
    """The true and predicted boxes (n, t, 4) of the objects that are followed from the first frame."""
    truth_nxtx4 = true_tracks(row)[: row["started"]]
    found_nxtx4 = np.full_like(truth_nxtx4, np.nan)
    predicted = predicted_tracks(row)[: len(truth_nxtx4)]
    found_nxtx4[: len(predicted)] = predicted
    return truth_nxtx4, found_nxtx4


def overlaps(truth_nxtx4: FloatArray, found_nxtx4: FloatArray) -> FloatArray:
    """The IoU (n, t) of each pair of boxes: NaN where the object is absent, 0 where no box is predicted."""
    iou_nxt = boxes.iou(truth_nxtx4, np.where(np.isnan(found_nxtx4), 0.0, found_nxtx4))
    return np.where(np.isnan(truth_nxtx4[..., 0]), np.nan, iou_nxt)
