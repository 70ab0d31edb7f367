"""Which detection finds which true object: COCO's greedy rule, and the rule of Pascal VOC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from imgloc.detection.objects import Objects
from imgloc.types import BoolArray, FloatArray, IntArray

MAX_PAIRS = 2**20  # of a detection and a true object that are compared at a time


class Matches(NamedTuple):
    """For a ranges of area, in each of which some true objects are left out, at t thresholds of IoU."""

    matched_axtxd: BoolArray
    left_out_axtxd: BoolArray  # matched with an object that is left out: the detection does not count
    used_axtxg: BoolArray


class Pairs(NamedTuple):
    """Pairs p of a detection with the true objects of its cell; each of the segments s is one detection with all of its pairs."""

    d_s: IntArray
    start_s: IntArray
    s_p: IntArray
    d_p: IntArray
    g_p: IntArray


def rank_in_cell(cell_d: IntArray) -> IntArray:
    """The position [d] of each detection among the adjacent ones of the same cell."""
    first_d = np.concatenate([[True], cell_d[1:] != cell_d[:-1]])[: len(cell_d)]
    start_d = np.maximum.accumulate(np.where(first_d, np.arange(len(cell_d)), 0))
    return np.asarray(np.arange(len(cell_d)) - start_d)


def cells(objects: Objects) -> tuple[IntArray, IntArray]:
    """The cell [g] of each true object and [d] of each detection: a class in an image."""
    classes, truths, found = max(1, len(objects.labels_k)), objects.truths, objects.detections
    return truths.image_g * classes + truths.class_g, found.image_d * classes + found.class_d


def _pairs(d_s: IntArray, cell_d: IntArray, order_g: IntArray, sorted_g: IntArray) -> Pairs:
    low_s, high_s = np.searchsorted(sorted_g, cell_d[d_s]), np.searchsorted(sorted_g, cell_d[d_s], side="right")
    some_s = high_s > low_s
    d_s, low_s, count_s = d_s[some_s], low_s[some_s], (high_s - low_s)[some_s]
    start_s = np.cumsum(count_s) - count_s
    s_p = np.repeat(np.arange(len(d_s)), count_s)
    return Pairs(d_s, start_s, s_p, d_s[s_p], order_g[np.arange(len(s_p)) - (start_s - low_s)[s_p]])


def in_chunks(cell_d: IntArray, cell_g: IntArray) -> Iterator[Pairs]:
    """The pairs of all detections, a few of the detections at a time."""
    order_g = np.argsort(cell_g, kind="stable")
    sorted_g = cell_g[order_g]
    count_d = np.searchsorted(sorted_g, cell_d, side="right") - np.searchsorted(sorted_g, cell_d, side="left")
    chunk_d = np.cumsum(count_d) // MAX_PAIRS
    for part in np.split(np.arange(len(cell_d)), np.flatnonzero(np.diff(chunk_d)) + 1):
        if count_d[part].any():
            yield _pairs(part, cell_d, order_g, sorted_g)


def iou(objects: Objects, each: Pairs, *, crowds: bool = True) -> FloatArray:
    """The IoU [p] of pairs; with a crowd, unless not `crowds`, the share of the detection that lies in it. With the bits of pycocotools."""
    both_p, own_p, true_p = _areas(objects, each)
    union_p = own_p + true_p - both_p
    if crowds:
        union_p = np.where(objects.truths.crowd_g[each.g_p], own_p, union_p)
    return np.asarray(both_p / np.where(both_p > 0, union_p, 1.0))


def share_inside(objects: Objects, each: Pairs) -> FloatArray:
    """The share [p] of each detection that lies in the true object."""
    both_p, own_p, _ = _areas(objects, each)
    return np.asarray(both_p / np.where(both_p > 0, own_p, 1.0))


def _areas(objects: Objects, each: Pairs) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The areas [p] of the intersection, of the detection and of the true object."""
    d_px4, g_px4 = objects.detections.boxes_dx4[each.d_p], objects.truths.boxes_gx4[each.g_p]
    width_p, height_p = (
        np.minimum(d_px4[:, axis + 2] + d_px4[:, axis], g_px4[:, axis + 2] + g_px4[:, axis]) - np.maximum(d_px4[:, axis], g_px4[:, axis])
        for axis in (0, 1)
    )
    both_p = np.where((width_p > 0) & (height_p > 0), width_p * height_p, 0.0)
    return both_p, d_px4[:, 2] * d_px4[:, 3], g_px4[:, 2] * g_px4[:, 3]


def best_in_segment(value_p: FloatArray, each: Pairs) -> tuple[FloatArray, IntArray]:
    """The highest value [s] of each segment, and the true object [s] that has it, the first one of equals."""
    best_s = np.maximum.reduceat(value_p, each.start_s)
    at_p = np.where(value_p == best_s[each.s_p], np.arange(len(value_p)), len(value_p))
    return best_s, each.g_p[np.minimum.reduceat(at_p, each.start_s)]


def greedy(objects: Objects, thresholds_t: FloatArray, left_out_axg: BoolArray, *, limit: int | None = None) -> Matches:
    """Match as COCO does (https://cocodataset.org/#detection-eval).

    Detections of a class in an image choose by falling score, the first `limit` of them. Each takes the true object with the highest
    IoU, the last one of equals, that reaches the threshold and is not taken; objects that are left out are second choice, and a
    crowd can be taken any number of times. All first detections of their cells choose together, then all second ones, and so on.
    """
    cell_g, cell_d = cells(objects)
    rank_d = rank_in_cell(cell_d)
    areas, times = len(left_out_axg), len(thresholds_t)
    matches = Matches(*(np.zeros((areas, times, count), np.bool_) for count in (len(cell_d), len(cell_d), len(cell_g))))
    least_t = np.minimum(thresholds_t, 1 - 1e-10)
    by_rank_d = np.argsort(rank_d, kind="stable")
    by_rank_d = by_rank_d[rank_d[by_rank_d] < (len(cell_d) if limit is None else limit)]
    order_g = np.argsort(cell_g, kind="stable")
    sorted_g = cell_g[order_g]
    for d_s in np.split(by_rank_d, np.flatnonzero(np.diff(rank_d[by_rank_d])) + 1):
        each = _pairs(d_s, cell_d, order_g, sorted_g)
        iou_p = iou(objects, each)
        near = np.flatnonzero(iou_p >= least_t.min())
        if len(near):
            _choose(objects.truths.crowd_g, left_out_axg, least_t, each.d_p[near], each.g_p[near], iou_p[near], matches)
    return matches


def _choose(
    crowd_g: BoolArray, left_out_axg: BoolArray, least_t: FloatArray, d_p: IntArray, g_p: IntArray, iou_p: FloatArray, matches: Matches
) -> None:
    """Let each detection of pairs choose, and enter its choice into the matches."""
    for a, left_out_g in enumerate(left_out_axg):
        order_p = np.lexsort((g_p, iou_p, ~left_out_g[g_p], d_p))  # the last possible pair of a detection is its best
        d_q, g_q = d_p[order_p], g_p[order_p]
        start_s = np.flatnonzero(np.concatenate([[True], d_q[1:] != d_q[:-1]]))
        possible_txq = (iou_p[order_p] >= least_t[:, None]) & (~matches.used_axtxg[a][:, g_q] | crowd_g[g_q])
        last_txs = np.maximum.reduceat(np.where(possible_txq, np.arange(len(g_q)), -1), start_s, axis=1)
        t_m, s_m = np.nonzero(last_txs >= 0)
        chosen_m = last_txs[t_m, s_m]
        matches.matched_axtxd[a, t_m, d_q[chosen_m]] = True
        matches.left_out_axtxd[a, t_m, d_q[chosen_m]] = left_out_g[g_q[chosen_m]]
        matches.used_axtxg[a, t_m, g_q[chosen_m]] = True


def voc(objects: Objects, threshold: float) -> tuple[BoolArray, BoolArray]:
    """Match as Pascal VOC does: (true positives [d], false positives [d]) (Everingham et al., 2010, IJCV 88:303, section 4.2).

    Each detection belongs to the true object of its class that it overlaps most, the first one of equals. Of the detections of an
    object with an IoU of at least the threshold, the one with the highest score is right and all others are wrong. Those of a
    difficult object, or of a crowd, are neither.
    """
    cell_g, cell_d = cells(objects)
    owner_d = np.full(len(cell_d), -1)
    for each in in_chunks(cell_d, cell_g):
        best_s, g_s = best_in_segment(iou(objects, each, crowds=False), each)
        owner_d[each.d_s] = np.where(best_s >= threshold, g_s, -1)
    first_d = np.zeros(len(cell_d), np.bool_)
    first_d[np.unique(owner_d, return_index=True)[1]] = True  # detections of a cell are sorted by score
    near_d = owner_d >= 0
    counts_d = ~near_d | ~objects.truths.left_out_g[owner_d] if len(cell_g) else ~near_d
    return near_d & first_d & counts_d, ~(near_d & first_d) & counts_d
