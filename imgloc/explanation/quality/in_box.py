"""Whether a score map lies in the true boxes: the pointing game, and the share of its energy in them."""

from __future__ import annotations

import numpy as np

from imgloc.types import FloatArray


def points_into_box(map_hxw: FloatArray, boxes_nx4: FloatArray) -> float:
    """1 if the center of the highest pixel lies in a box, else 0; NaN without boxes or where the map is flat.

    This is the pointing game (Zhang et al., 2016, arXiv:1608.00507) without its tolerance of 15 pixels. Of several highest pixels the
    first one counts. Boxes are xyxy in [0, 1].
    """
    if not len(boxes_nx4) or np.ptp(map_hxw) == 0:
        return float("nan")
    y, x = np.unravel_index(int(map_hxw.argmax()), map_hxw.shape)
    point = (np.array([x, y]) + 0.5) / map_hxw.shape[::-1]
    return float(((boxes_nx4[:, :2] <= point) & (point <= boxes_nx4[:, 2:])).all(axis=1).any())


def energy_in_box(map_hxw: FloatArray, boxes_nx4: FloatArray) -> float:
    """The share of the sum of a map, which must not be negative, in the union of the boxes; NaN without boxes or where the map is zeros.

    This is the energy-based pointing game (Wang et al., 2019, arXiv:1910.01279, section 4.3). A pixel whose center lies in a box counts.
    """
    total = float(map_hxw.sum())
    if not len(boxes_nx4) or total == 0:
        return float("nan")
    y, x = ((np.arange(size) + 0.5) / size for size in map_hxw.shape)
    x0, y0, x1, y1 = np.asarray(boxes_nx4, np.float64).T[..., None]
    inside_nxhxw = ((y0 <= y) & (y <= y1))[:, :, None] & ((x0 <= x) & (x <= x1))[:, None]
    return float(map_hxw[inside_nxhxw.any(axis=0)].sum()) / total
