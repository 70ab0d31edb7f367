"""What can be computed of every connected component of every level of a score map at once: boxes and areas."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from imgloc.score_maps.level_sets import LEVELS, LevelSets
from imgloc.types import BoolArray, IntArray

ROWS_AT_ONCE = 56


class Components(NamedTuple):
    """The components of the pixels above each level from 0 to 254.

    Those of one leaf follow one another, from its peak down. Leaves at the same depth follow one another too, the deepest first.
    """

    sets: LevelSets
    level_m: IntArray
    leaf_m: IntArray
    first_k: IntArray  # the component of each leaf at its peak
    depth_k: IntArray  # the number of leaves that go on for a leaf, one after the other


def components_of(sets: LevelSets) -> Components:
    """Returns the components of a map."""
    depth_k, above_k = np.zeros(len(sets.peak_k), np.int64), np.arange(len(sets.peak_k))
    while (ends_k := sets.end_k[above_k] > 0).any():
        depth_k += ends_k
        above_k = np.where(ends_k, sets.parent_k[above_k], above_k)
    order_k, count_k = np.argsort(-depth_k, kind="stable"), sets.peak_k - sets.end_k
    leaf_m = np.repeat(order_k, count_k[order_k])
    first_k = np.empty_like(depth_k)
    first_k[order_k] = np.cumsum(count_k[order_k]) - count_k[order_k]
    level_m = sets.peak_k[leaf_m] - 1 - (np.arange(len(leaf_m)) - first_k[leaf_m])
    return Components(sets, level_m, leaf_m, first_k, depth_k)


def _smallest_components(components: Components, leaf_n: IntArray, level_n: IntArray) -> IntArray:
    """Returns the smallest component of each pixel, given its leaf and its level, which must be above 0."""
    sets = components.sets
    while (ended := np.flatnonzero(sets.end_k[leaf_n] >= level_n)).size:
        leaf_n[ended] = sets.parent_k[leaf_n[ended]]
    return components.first_k[leaf_n] + sets.peak_k[leaf_n] - level_n


Running = Callable[[IntArray, IntArray, IntArray], IntArray]


def _accumulate(components: Components, table_nxm: IntArray, operation: np.ufunc, running: Running) -> None:
    """Replaces rows of values of the pixels that are in no smaller component by those of all pixels of a component.

    The deepest leaves come first: `running` is the operation along their components, and the result of a leaf that ends goes to its parent.
    """
    sets, depth_m = components.sets, components.depth_k[components.leaf_m]
    bounds = [*np.flatnonzero(np.diff(depth_m, prepend=-1)).tolist(), len(depth_m)]
    for begin, end in pairwise(bounds):
        leaf_m = components.leaf_m[begin:end]
        is_first_m = np.diff(leaf_m, prepend=-1) != 0
        first = np.flatnonzero(is_first_m)
        table_nxm[:, begin:end] = running(table_nxm[:, begin:end], first, np.cumsum(is_first_m) - 1)
        if end < len(components.leaf_m):
            leaf = leaf_m[first]
            into = _smallest_components(components, sets.parent_k[leaf], sets.end_k[leaf])
            last = begin + np.append(first[1:], end - begin) - 1
            for row_m in table_nxm:
                operation.at(row_m, into, row_m[last])


def _running_maxima(values_nxm: IntArray, first: IntArray, part_m: IntArray) -> IntArray:
    """Returns the maxima along rows so far, starting again in each part, given where parts begin and the part of each value."""
    offset_m = part_m * (int(np.ptp(values_nxm)) + 1)  # lifts each part above those before it
    return np.asarray(np.maximum.accumulate(values_nxm + offset_m, axis=1) - offset_m)


def _running_sums(values_nxm: IntArray, first: IntArray, part_m: IntArray) -> IntArray:
    """Returns the sums along rows so far, starting again in each part, given where parts begin and the part of each value."""
    sums_nxm = np.cumsum(values_nxm, axis=1)
    return np.asarray(sums_nxm - (sums_nxm[:, first] - values_nxm[:, first])[:, part_m])


def boxes_of(components: Components) -> IntArray:
    """Returns the box [m, 4] of each component: xyxy, the last pixel included."""
    sets, width = components.sets, components.sets.level_hxw.shape[1]
    segment = np.flatnonzero(sets.peak_s)
    start = sets.start_s[segment]
    pixel = np.flatnonzero(_highest_of_columns(sets) & (sets.level_hxw > 0))
    of_row = _smallest_components(components, sets.leaf_hxw.ravel()[start], sets.peak_s[segment])
    of_column = _smallest_components(components, sets.leaf_hxw.ravel()[pixel], sets.level_hxw.ravel()[pixel])
    row, column = start // width, pixel % width
    sides_4xm = np.full((4, len(components.leaf_m)), -max(sets.level_hxw.shape), np.int64)
    for side_m, of, value in zip(sides_4xm, (of_column, of_row) * 2, (-column, -row, column, row), strict=True):
        np.maximum.at(side_m, of, value)  # negated are left and top
    _accumulate(components, sides_4xm, np.maximum, _running_maxima)
    return np.asarray((sides_4xm * np.array([[-1], [-1], [1], [1]])).T)


def _highest_of_columns(sets: LevelSets) -> BoolArray:
    """Returns where the pixels above and below are no higher or belong to other leaves: the other pixels reach no further column."""
    same = sets.leaf_hxw[1:] == sets.leaf_hxw[:-1]
    falls = sets.height_hxw[1:] <= sets.height_hxw[:-1]
    is_highest_hxw = np.ones(sets.level_hxw.shape, np.bool_)
    is_highest_hxw[1:] = ~(same & falls)
    is_highest_hxw[:-1] &= ~(same & ~falls)
    return is_highest_hxw


def doubled_areas_of(components: Components) -> IntArray:
    """Returns twice the area [m] of each component: of the squares between four pixel centers of it, and the triangles between three.

    Where a component has no holes, this is the area of the polygon through the centers of the pixels of its border.
    """
    sets = components.sets
    count_c = np.zeros(LEVELS * len(sets.peak_k), np.int64)
    for row in range(0, len(sets.level_hxw) - 1, ROWS_AT_ONCE):  # arrays that stay in the cache
        level, leaf = sets.level_hxw[row : row + ROWS_AT_ONCE + 1], sets.leaf_hxw[row : row + ROWS_AT_ONCE + 1]
        corners = level[:-1, :-1], level[1:, 1:], level[:-1, 1:], level[1:, :-1]
        low, high = (operation(corners[0], corners[1]) for operation in (np.minimum, np.maximum))
        low_other, high_other = (operation(corners[2], corners[3]) for operation in (np.minimum, np.maximum))
        lowest, second_lowest = np.minimum(low, low_other), np.minimum(np.maximum(low, low_other), np.minimum(high, high_other))
        cell_of_leaf = np.where(corners[0] >= corners[1], leaf[:-1, :-1], leaf[1:, 1:]) * np.int64(LEVELS)  # of a pixel not the lowest
        for each in (lowest, second_lowest):
            count_c += np.bincount((cell_of_leaf + each).ravel(), minlength=len(count_c))
    count_c[::LEVELS] = 0  # pixels of level 0 are in no component
    cell = np.flatnonzero(count_c)
    area_1xm = np.zeros((1, len(components.leaf_m)), np.int64)
    np.add.at(area_1xm[0], _smallest_components(components, *np.divmod(cell, LEVELS)), count_c[cell])
    _accumulate(components, area_1xm, np.add, _running_sums)
    return np.asarray(area_1xm[0])
