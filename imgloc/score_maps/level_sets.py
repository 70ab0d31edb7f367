"""The leaves of a score map, which merge into the connected components of its level sets.

Each row of a map is cut into segments that rise and then fall. A segment joins a higher one where the two are connected at all levels at
which it has a pixel; what remains are leaves, about one for each peak. Two leaves that touch are connected at all levels below the highest
pass between them. Going down from pass to pass (Kruskal, 1956), the leaf with the lower peak ends, and the other one represents both at
lower levels, so that each component of each level is that of one living leaf. This is the tree of components (max-tree) of Salembier et
al., 1998, doi:10.1109/83.663500.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from imgloc.types import BoolArray, FloatArray, IntArray, Uint8Array

LEVELS = 256
FRACTION_BITS = 8  # of a height below one level; they only spare segments, as level ground is cut into more of them than a slope
HIGHEST = np.uint16((LEVELS << FRACTION_BITS) - 1)

Edges = tuple[IntArray, IntArray, IntArray]


class LevelSets(NamedTuple):
    """The leaves of a map, the highest first; of equally high ones that with the first pixel.

    Leaf k stands for one component of the pixels above level l where end_k <= l < peak_k. Below, its pixels belong to its parent.
    """

    height_hxw: IntArray
    level_hxw: Uint8Array
    leaf_hxw: IntArray  # the leaf of each pixel
    peak_k: IntArray  # the highest level of a leaf
    end_k: IntArray  # 0 of a leaf that never ends
    parent_k: IntArray  # a leaf that ends at a lower level, or the first one
    start_s: IntArray  # the first pixel of each segment, counted row by row
    peak_s: IntArray  # the highest level of each segment


def heights_of(map_hxw: FloatArray) -> IntArray:
    """Returns the heights of a map in [0, 1]: its levels, `(map * 255).astype(uint8)`, with FRACTION_BITS more bits."""
    scaled_hxw = np.asarray(map_hxw, np.float64) * 255
    scaled_hxw *= 1 << FRACTION_BITS
    return scaled_hxw.astype(np.uint16)


def level_sets(height_hxw: IntArray, connectivity: int) -> LevelSets:
    """Returns the leaves of a map of heights; `connectivity` is the number of neighbors of a pixel, 4 or 8."""
    level_hxw = (height_hxw >> FRACTION_BITS).astype(np.uint8)
    is_start_hxw = _segment_starts(height_hxw)
    start_s = np.flatnonzero(is_start_hxw)
    peak_s = np.maximum.reduceat(level_hxw.ravel(), start_s)
    lengths_s = np.diff(start_s, append=height_hxw.size)
    segment_n = np.repeat(_numbers(len(start_s)), lengths_s)
    edges = _edges(level_hxw, is_start_hxw, segment_n, start_s, connectivity)
    leaf_s, peak_k = _joined(peak_s, edges)
    end_k, parent_k = _merged(len(peak_k), _passes(leaf_s, len(peak_k), edges))
    leaf_hxw = np.repeat(leaf_s, lengths_s).reshape(height_hxw.shape)
    return LevelSets(height_hxw, level_hxw, leaf_hxw, peak_k, end_k, parent_k, start_s, peak_s)


def _numbers(count: int) -> IntArray:
    """Returns the numbers from 0, of 16 bits where these are enough, so that arrays of numbers of pixels stay in the cache."""
    return np.arange(count).astype(np.uint16 if count <= 1 << 16 else np.int32)


def _segment_starts(height_hxw: IntArray) -> BoolArray:
    """Returns where a row begins, or begins to rise after it fell or was level."""
    is_start_hxw = np.zeros(height_hxw.shape, np.bool_)
    is_start_hxw[:, 0] = True
    rises = height_hxw[:, 1:] > height_hxw[:, :-1]
    is_start_hxw[:, 2:] = rises[:, 1:] & ~rises[:, :-1]
    return is_start_hxw


def _edges(level_hxw: Uint8Array, is_start_hxw: BoolArray, segment_n: IntArray, start_s: IntArray, connectivity: int) -> Edges:
    """Returns pairs of touching segments, an earlier one first, with levels at which pixels of both touch, the highest one among them."""
    width, level_n, is_start_n = level_hxw.shape[1], level_hxw.ravel(), is_start_hxw.ravel()
    second = np.flatnonzero(start_s % width)
    start = start_s[second]
    found: list[Edges] = [(second - 1, second, np.minimum(level_n[start - 1], level_n[start]))]
    if len(level_hxw) > 1:  # the pixels at which two segments of two rows touch follow one another
        first = np.flatnonzero(is_start_n[:-width] | is_start_n[width:])
        level = np.maximum.reduceat(np.minimum(level_n[:-width], level_n[width:]), first)
        found.append((segment_n[first], segment_n[first + width], level))
    if connectivity == 8:  # diagonally, where no other of four pixels joins the two at this level
        corners = level_hxw[:-1, :-1], level_hxw[1:, 1:], level_hxw[:-1, 1:], level_hxw[1:, :-1]
        falling, rising = (corners[0], corners[1], 0, width + 1), (corners[2], corners[3], 1, width)
        for (one, other, to_first, to_second), (beside, opposite, *_) in ((falling, rising), (rising, falling)):
            level_cells = np.minimum(one, other)
            cell = np.flatnonzero(level_cells > np.maximum(beside, opposite))
            first = cell + cell // max(width - 1, 1)
            found.append((segment_n[first + to_first], segment_n[first + to_second], level_cells.ravel()[cell]))
    first_e, second_e, level_e = (np.concatenate(each) for each in zip(*found, strict=True))
    return first_e, second_e, level_e


def _joined(peak_s: IntArray, edges: Edges) -> tuple[IntArray, IntArray]:
    """Returns the leaf of each segment, and the peak of each leaf, the highest first.

    A segment joins one that is higher, or earlier if equally high, and that it touches at its own peak.
    """
    first_e, second_e, level_e = edges
    second_joins = peak_s[second_e] <= peak_s[first_e]
    lower_e, upper_e = np.where(second_joins, second_e, first_e), np.where(second_joins, first_e, second_e)
    joins = level_e == peak_s[lower_e]
    to_s = np.arange(len(peak_s))
    to_s[lower_e[joins]] = upper_e[joins]
    leaf_s = followed(to_s)
    roots = np.flatnonzero(to_s == np.arange(len(to_s)))
    roots = roots[np.argsort(LEVELS - 1 - peak_s[roots], kind="stable")]
    number_s = np.zeros_like(_numbers(len(to_s)))
    number_s[roots] = np.arange(len(roots))
    return number_s[leaf_s], peak_s[roots].astype(np.int64)


def followed(to: IntArray) -> IntArray:
    """Returns where pointers lead in the end; those at the end point at themselves."""
    while True:
        further = to[to]
        if (further == to).all():
            return to
        to = further


def _passes(leaf_s: IntArray, leaves: int, edges: Edges) -> Edges:
    """Returns the highest pass between each two leaves that touch; the highest passes first."""
    first_e, second_e = leaf_s[edges[0]].astype(np.int64), leaf_s[edges[1]]
    apart = np.flatnonzero(first_e != second_e)
    first, second = first_e[apart], second_e[apart]
    pairs = np.minimum(first, second) * leaves + np.maximum(first, second)
    pair_q, level_q = np.divmod(np.sort(pairs * LEVELS + edges[2][apart]), LEVELS)
    highest = np.flatnonzero(np.diff(pair_q, append=-1))
    order_p = highest[np.argsort(LEVELS - 1 - level_q[highest], kind="stable")]
    return pair_q[order_p] // leaves, pair_q[order_p] % leaves, level_q[order_p]


def _root(root: list[int], leaf: int) -> int:
    """Returns the leaf that represents a leaf, and shortens the path to it."""
    while root[leaf] != leaf:
        root[leaf] = leaf = root[root[leaf]]
    return leaf


def _merged(leaves: int, passes: Edges) -> tuple[IntArray, IntArray]:
    """Returns the level at which each leaf ends, and the leaf that represents it, which ends at a lower level."""
    root, end, parent = list(range(leaves)), [0] * leaves, [0] * leaves
    for first, second, level in zip(*(each.tolist() for each in passes), strict=True):
        higher, lower = sorted((_root(root, first), _root(root, second)))
        if higher < lower:
            root[lower] = parent[lower] = higher
            end[lower] = level
    end_k, parent_k = np.array(end), np.array(parent)
    ends_too = end_k[parent_k] == end_k  # of several leaves that end at one pass, only the last parent remains
    last_k = followed(np.where(ends_too, parent_k, np.arange(leaves)))
    return end_k, parent_k[last_k]
