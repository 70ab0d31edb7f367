"""Does a model look where the object is? Of models that look around: their rows have the windows that they looked through.

A look hits where the centre of its window lies in a true box, its edges included. The last look is the one before the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgloc import boxes
from imgloc.types import FloatArray, Row

COLUMNS = ("boxes", "looks")


def per_row(rows: Sequence[Row]) -> dict[str, FloatArray]:
    """[n] each: `last_look_hit` (1.0 or 0.0), `last_look_iou`, of the last window, whole, with the true box that it meets best,
    and `look_hits`, the share of all looks that hit.

    NaN where the image has no true box.
    """
    found_nx3 = np.array([_of_row(row) for row in rows]).reshape(-1, 3)
    return dict(zip(("last_look_hit", "last_look_iou", "look_hits"), found_nx3.T, strict=True))


def _of_row(row: Row) -> tuple[float, float, float]:
    truth_nx4, looks_gx4 = (np.asarray(row[column], dtype=np.float64).reshape(-1, 4) for column in COLUMNS)
    if not len(truth_nx4) or not len(looks_gx4):
        return float("nan"), float("nan"), float("nan")
    center_gx1x2 = (looks_gx4[:, None, :2] + looks_gx4[:, None, 2:]) / 2
    inside_gxnx2 = (truth_nx4[:, :2] <= center_gx1x2) & (center_gx1x2 <= truth_nx4[:, 2:])
    hit_g = np.asarray(inside_gxnx2.all(axis=-1).any(axis=-1), np.float64)
    best = boxes.iou(np.broadcast_to(looks_gx4[-1], truth_nx4.shape), truth_nx4).max()
    return float(hit_g[-1]), float(best), float(hit_g.mean())
