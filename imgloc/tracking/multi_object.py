"""Counts of a video behind MOTA, IDF1 and HOTA. Summed over videos, they give the metrics of a data set.

They equal those of TrackEval 1.3.0 for the same boxes; tests/tracking compares them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from imgloc import boxes
from imgloc.types import BoolArray, FloatArray, IntArray

THRESHOLD = 0.5  # IoU of a match, of MOTA and IDF1
ALPHAS = np.arange(0.05, 0.99, 0.05)  # IoUs of a match, of HOTA
EPSILON = float(np.finfo("float").eps)


class Clear(NamedTuple):
    """Matches, false positives, misses and identity switches (Bernardin and Stiefelhagen, 2008, doi:10.1155/2008/246309)."""

    matches: float
    false_positives: float
    misses: float
    switches: float


class Identity(NamedTuple):
    """Boxes that the best assignment of tracks to objects matches, and the others (Ristani et al., 2016, arXiv:1609.01775)."""

    matches: float
    false_positives: float
    misses: float


class Hota(NamedTuple):
    """For each of 19 thresholds the matches, false positives and misses, and the sum over matches of their association score.

    Luiten et al., 2021 (arXiv:2009.07736).
    """

    matches_a: FloatArray
    false_positives_a: FloatArray
    misses_a: FloatArray
    association_a: FloatArray


class Overlaps(NamedTuple):
    """The IoU of every object with every track in every frame, and where each has a box."""

    iou_txnxm: FloatArray  # 0 where one of the two has no box
    objects_txn: BoolArray
    tracks_txm: BoolArray


def pairwise(truth_nxtx4: FloatArray, found_mxtx4: FloatArray) -> Overlaps:
    """The overlaps of true and predicted tracks, NaN where they have no box."""
    objects_txn, tracks_txm = (~np.isnan(each[..., 0]).T for each in (truth_nxtx4, found_mxtx4))
    truth, found = (np.nan_to_num(each).transpose(1, 0, 2) for each in (truth_nxtx4, found_mxtx4))
    return Overlaps(boxes.iou(truth[:, :, None], found[:, None]), objects_txn, tracks_txm)


def assigned_pairs(cost_nxm: FloatArray) -> tuple[IntArray, IntArray]:
    """Rows and columns of the pairs with the lowest sum of costs."""
    from scipy.optimize import linear_sum_assignment  # here, because every command imports this module

    rows, columns = linear_sum_assignment(cost_nxm)
    return rows, columns


def clear(overlaps: Overlaps) -> Clear:
    """The counts of MOTA. A frame first keeps the matches of the frame before, then maximizes the sum of IoUs."""
    matches = switches = 0
    count = overlaps.iou_txnxm.shape[1]
    last, before = np.full(count, -1), np.full(count, -1)  # the track of each object: the last one, and that of the frame before
    for iou_nxm, objects_n, tracks_m in zip(*overlaps, strict=True):
        here, there = np.flatnonzero(objects_n), np.flatnonzero(tracks_m)
        if not len(here) or not len(there):
            continue  # TrackEval keeps the frame before
        similarity = iou_nxm[np.ix_(here, there)]
        score = 1000.0 * (there[None] == before[here][:, None]) + similarity
        score[similarity < THRESHOLD - EPSILON] = 0
        rows, columns = assigned_pairs(-score)
        matched = score[rows, columns] > EPSILON
        own, track = here[rows[matched]], there[columns[matched]]
        switches += int(np.sum((last[own] >= 0) & (last[own] != track)))
        last[own], before = track, np.full(count, -1)
        before[own] = track
        matches += len(own)
    return Clear(matches, overlaps.tracks_txm.sum() - matches, overlaps.objects_txn.sum() - matches, switches)


def identity(overlaps: Overlaps) -> Identity:
    """The counts of IDF1. An object and a track match in the frames in which their IoU is at least 0.5."""
    common_nxm = np.sum((overlaps.iou_txnxm >= THRESHOLD) & overlaps.objects_txn[:, :, None] & overlaps.tracks_txm[:, None], axis=0)
    rows, columns = assigned_pairs(-common_nxm)  # a pair without common frames costs as much as two that are left out
    matches = float(common_nxm[rows, columns].sum())
    return Identity(matches, overlaps.tracks_txm.sum() - matches, overlaps.objects_txn.sum() - matches)


def hota(overlaps: Overlaps) -> Hota:
    """The counts of HOTA. The matches of a frame maximize the sum of IoUs, each times the alignment of its object and track."""
    iou, (objects, tracks) = overlaps.iou_txnxm, (overlaps.objects_txn, overlaps.tracks_txm)
    object_frames_nx1, track_frames_1xm = objects.sum(axis=0)[:, None], tracks.sum(axis=0)[None]
    union = iou.sum(axis=1, keepdims=True) + iou.sum(axis=2, keepdims=True) - iou
    aligned_nxm = np.where(union > EPSILON, iou / np.where(union > EPSILON, union, 1.0), 0.0).sum(axis=0)
    alignment_nxm = aligned_nxm / np.maximum(object_frames_nx1 + track_frames_1xm - aligned_nxm, EPSILON)
    matches_axnxm = np.zeros((len(ALPHAS), *iou.shape[1:]))
    for iou_nxm, objects_n, tracks_m in zip(iou, objects, tracks, strict=True):
        here, there = np.flatnonzero(objects_n), np.flatnonzero(tracks_m)
        if len(here) and len(there):
            pairs = np.ix_(here, there)
            rows, columns = assigned_pairs(-(alignment_nxm[pairs] * iou_nxm[pairs]))
            own, track = here[rows], there[columns]
            matches_axnxm[:, own, track] += iou_nxm[own, track] >= ALPHAS[:, None] - EPSILON
    matches_a = matches_axnxm.sum(axis=(1, 2))
    association = matches_axnxm / np.maximum(1.0, object_frames_nx1 + track_frames_1xm - matches_axnxm)
    association_a = (matches_axnxm * association).sum(axis=(1, 2))
    return Hota(matches_a, tracks.sum() - matches_a, objects.sum() - matches_a, association_a)


def mota_of(sums: FloatArray) -> FloatArray:
    """MOTA [...] from sums [..., 4] of `Clear`; NaN without objects. It may be negative."""
    matches, false_positives, misses, switches = np.moveaxis(sums, -1, 0)
    return _ratio(matches - false_positives - switches, matches + misses)


def idf1_of(sums: FloatArray) -> FloatArray:
    """IDF1 [...] from sums [..., 3] of `Identity`; NaN without objects and tracks."""
    matches, false_positives, misses = np.moveaxis(sums, -1, 0)
    return _ratio(matches, matches + (false_positives + misses) / 2)


def hota_of(sums: FloatArray) -> FloatArray:
    """HOTA [...] from sums [..., 4 * 19] of `Hota`: the mean over thresholds. NaN without objects and tracks."""
    matches, false_positives, misses, association = np.moveaxis(sums.reshape(*sums.shape[:-1], 4, len(ALPHAS)), -2, 0)
    detection = _ratio(matches, matches + false_positives + misses)
    return np.asarray(np.sqrt(detection * association / np.maximum(matches, 1.0)).mean(axis=-1))


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan)
