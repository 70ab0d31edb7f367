"""Score maps at the size of the protocol (Choe et al., 2020, arXiv:2001.07437) and as 8-bit levels."""

from __future__ import annotations

import cv2
import numpy as np

from imgloc.score_maps.boxes import box_of_largest_contour
from imgloc.types import FloatArray, Uint8Array

SIDE = 224  # of resized maps
HIGHEST = 255


def resized(map_hxw: FloatArray) -> FloatArray:
    """Returns a map resized to 224 x 224 pixels (bicubic) and normalized; zeros where it is flat; float64."""
    if not map_hxw.min() < map_hxw.max():  # the resize would make rounding errors of it, and the normalization a pattern of these
        return np.zeros((SIDE, SIDE))
    enlarged = cv2.resize(map_hxw.astype(np.float64), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return normalized(np.asarray(enlarged, np.float64))


def normalized(map_hxw: FloatArray) -> FloatArray:
    """Returns a map shifted and scaled to values from 0 to 1; zeros where all values are equal."""
    above_hxw = map_hxw - map_hxw.min()
    highest = above_hxw.max()
    return above_hxw / highest if highest > 0 else np.zeros_like(above_hxw)


def as_levels(map_hxw: FloatArray) -> Uint8Array:
    """Returns the levels, 0 to 255 and truncated, of a map from 0 to 1."""
    levels_hxw: Uint8Array = (map_hxw * HIGHEST).astype(np.uint8)
    return levels_hxw


def box_above(levels_hxw: Uint8Array, level: int) -> FloatArray:
    """Returns the box [4] of the largest contour above a level, xyxy in [0, 1] of the map, with continuous edges; zeros if there is none.

    A box of the whole map is (0, 0, 1, 1), unlike in the protocol, whose boxes end at the last pixel.
    """
    height, width = levels_hxw.shape
    box_4 = box_of_largest_contour(np.pad(levels_hxw, ((0, 1), (0, 1))), level)  # the border of the map is then no border of boxes
    return box_4 / np.array([width, height, width, height], np.float64)
