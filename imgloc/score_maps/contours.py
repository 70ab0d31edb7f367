"""Boxes of the contours of a score map at all levels at once: those of `imgloc.score_maps.boxes`, without a pass for each level."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from imgloc.score_maps.boxes import box_of_largest_contour
from imgloc.score_maps.components import boxes_of, components_of, doubled_areas_of
from imgloc.score_maps.level_sets import FRACTION_BITS, HIGHEST, LEVELS, LevelSets, followed, heights_of, level_sets
from imgloc.types import FloatArray, IntArray


class Contours(NamedTuple):
    """The contours of the pixels above each level from 0 to 254, in no order."""

    level_m: IntArray
    boxes_mx4: IntArray  # as those of `boxes_of_contours`


def all_contours(map_hxw: FloatArray) -> Contours:
    """Returns the contours of a score map in [0, 1], borders of holes included."""
    height_hxw = heights_of(map_hxw)
    outer = components_of(level_sets(height_hxw, 8))
    outer_mx4 = boxes_of(outer)
    outer_mx4[:, 2:] += 1
    hole_level_m, hole_mx4 = _holes(height_hxw)
    level_m = np.concatenate([outer.level_m, hole_level_m])
    return Contours(level_m, _clipped(np.concatenate([outer_mx4, hole_mx4]), map_hxw))


def _holes(height_hxw: IntArray) -> tuple[IntArray, IntArray]:
    """Returns the level [m] and the box [m, 4] of the border of each hole, which goes through the pixels around it."""
    sets = _background(height_hxw)
    if not (sets.end_k < sets.peak_k)[1:].any():  # there is only the outside
        return np.zeros(0, np.int64), np.zeros((0, 4), np.int64)
    below = components_of(sets)
    is_hole = below.leaf_m > 0
    return LEVELS - 2 - below.level_m[is_hole], boxes_of(below)[is_hole] + np.array([-2, -2, 1, 1])  # the frame is one pixel wide


def largest_contours(map_hxw: FloatArray) -> IntArray:
    """Returns the box [255, 4] of the contour with the largest polygon area at each level from 0 to 254; zeros where there is none.

    The contour is that of `box_of_largest_contour`, of equal areas the first that OpenCV finds. It never is the border of a hole, nor
    that of a component in a hole: the contour around has no smaller area, and OpenCV finds it before. So holes may be filled first.
    Of contours that are not within others OpenCV finds those that begin in a lower row first.
    """
    sets = level_sets(_filled(heights_of(map_hxw)), 8)
    found = components_of(sets)
    found_mx4, area_m = boxes_of(found), doubled_areas_of(found)
    found_mx4[:, 2:] += 1
    order_m = np.lexsort((found_mx4[:, 1], area_m, found.level_m))
    keys_3xm = np.stack([found.level_m, area_m, found_mx4[:, 1]])[:, order_m]
    is_last = np.diff(keys_3xm[0], append=LEVELS) > 0
    boxes_lx4 = np.zeros((LEVELS - 1, 4), np.int64)
    boxes_lx4[keys_3xm[0, is_last]] = _clipped(found_mx4[order_m[is_last]], map_hxw)
    is_tied = is_last[1:] & (keys_3xm[:, 1:] == keys_3xm[:, :-1]).all(axis=0)
    for level in keys_3xm[0, 1:][is_tied].tolist():  # seldom: both begin in one row
        boxes_lx4[level] = box_of_largest_contour(sets.level_hxw, level)
    return boxes_lx4


def _clipped(boxes_mx4: IntArray, map_hxw: FloatArray) -> IntArray:
    """Returns boxes whose last edges do not lie behind the last pixel of the map."""
    height, width = map_hxw.shape
    return np.asarray(np.minimum(boxes_mx4, np.array([width, height, width - 1, height - 1])))


def _background(height_hxw: IntArray) -> LevelSets:
    """Returns the level sets of the depths of a map inside a frame of the greatest depth: pixels up to level l are above 254 - l.

    The frame, which is the outside, belongs to the first leaf: none is higher or earlier.
    """
    depth_hxw = np.full(np.add(height_hxw.shape, 2), HIGHEST)
    depth_hxw[1:-1, 1:-1] -= height_hxw
    return level_sets(depth_hxw, 4)


def _filled(height_hxw: IntArray) -> IntArray:
    """Returns a map whose holes are filled at every level.

    A pixel in a basin is outside at the levels at which both the pixel and the lowest way out of the basin are background.
    """
    sets = _background(height_hxw)
    way_out_k = sets.end_k[followed(np.where(sets.parent_k > 0, sets.parent_k, np.arange(len(sets.parent_k))))]
    way_out_k[0] = LEVELS - 1  # of the outside itself
    fill_k = (LEVELS - 1 - way_out_k).astype(np.uint16) << FRACTION_BITS
    return np.asarray(np.maximum(height_hxw, fill_k[sets.leaf_hxw[1:-1, 1:-1]]))
