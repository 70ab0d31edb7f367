"""The box of a score map at each of a few thresholds.

As in the protocol of Choe et al., 2020, arXiv:2001.07437: a map is resized with bicubic interpolation and normalized by its minimum and
maximum, and a box encloses the largest contour of the pixels above the threshold. Here edges are continuous, and thresholds are fewer.
"""

from __future__ import annotations

import numpy as np

from imgloc.score_maps.levels import HIGHEST, as_levels, box_above, resized
from imgloc.types import FloatArray

THRESHOLDS = tuple(step / 20 for step in range(20))  # shares of the range of a map


def boxes_at_thresholds(map_hxw: FloatArray) -> FloatArray:
    """Returns the box (t, 4) of a map of any size at each of `THRESHOLDS`, xyxy in [0, 1] of the map; zeros where it is flat."""
    levels_hxw = as_levels(resized(map_hxw))
    return np.stack([box_above(levels_hxw, int(threshold * HIGHEST)) for threshold in THRESHOLDS])
