"""SORT: a Kalman filter for each track, and an assignment of detections to tracks by their IoU (Bewley et al., 2016, arXiv:1602.00763).

The state of a track is the center of its box, its area, the ratio of its width to its height, and the velocities of the first three, per
frame. The filter is linear: position and area move with constant velocity, and the ratio is constant. The paper does not state the
noise; the variances are those of its published program, in pixels.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from imgloc import boxes
from imgloc.tracking.multi_object import assigned_pairs
from imgloc.types import FloatArray, IntArray

STATE, OBSERVED = 7, 4
TRANSITION = np.eye(STATE) + np.eye(STATE, k=OBSERVED)
OBSERVATION_NOISE = np.diag([1.0, 1.0, 10.0, 10.0])
PROCESS_NOISE = np.diag([1.0, 1.0, 1.0, 1.0, 1e-2, 1e-2, 1e-4])
FIRST_COVARIANCE = np.diag([10.0] * OBSERVED + [1e4] * (STATE - OBSERVED))  # the velocities of a new track are unknown
CENTER_X, CENTER_Y, AREA, RATIO, AREA_VELOCITY = 0, 1, 2, 3, 6


@dataclass(frozen=True)
class SortOptions:
    """The thresholds of SORT, as in the paper."""

    min_iou: float = 0.3  # of a detection with the predicted box of its track
    max_age: int = 1  # frames without a detection after which a track ends
    min_hits: int = 3  # detections in a row before a track is returned, except in the first frames of a video


PAPER = SortOptions()


@dataclass(frozen=True)
class SortTracks:
    """The tracks of a video so far."""

    state_mx7: FloatArray = field(default_factory=lambda: np.zeros((0, STATE)))
    covariance_mx7x7: FloatArray = field(default_factory=lambda: np.zeros((0, STATE, STATE)))
    ids_m: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    labels_m: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    ages_m: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))  # frames since the last detection
    hits_m: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))  # frames in a row with a detection
    frames: int = 0
    started: int = 0  # tracks in all

    def boxes_mx4(self) -> FloatArray:
        """The boxes in pixels."""
        return box_of(self.state_mx7)


def advance(
    tracks: SortTracks, boxes_nx4: FloatArray, labels_n: IntArray, options: SortOptions = PAPER
) -> tuple[SortTracks, IntArray, IntArray]:
    """Assign the detections of the next frame to the tracks, which a detection without a track begins and a lack of detections ends.

    Returns the tracks, the indices (k,) of those that are confirmed and have a detection in this frame, and the detection (m,) of each
    track, -1 for none. A detection is assigned to a track of its class. Boxes are in pixels.
    """
    moved = predicted(tracks)
    detections_m = assigned_detections(moved, boxes_nx4, labels_n, options.min_iou)
    found_m = detections_m >= 0
    state, covariance = corrected(moved.state_mx7[found_m], moved.covariance_mx7x7[found_m], observed(boxes_nx4[detections_m[found_m]]))
    state_mx7, covariance_mx7x7 = moved.state_mx7.copy(), moved.covariance_mx7x7.copy()
    state_mx7[found_m], covariance_mx7x7[found_m] = state, covariance
    new_k = np.setdiff1d(np.arange(len(boxes_nx4)), detections_m)
    ages_m = np.where(found_m, 0, moved.ages_m + 1)
    kept_m = ages_m <= options.max_age
    first = np.concatenate([observed(boxes_nx4[new_k]), np.zeros((len(new_k), STATE - OBSERVED))], axis=1)
    after = SortTracks(
        np.concatenate([state_mx7[kept_m], first]),
        np.concatenate([covariance_mx7x7[kept_m], np.repeat(FIRST_COVARIANCE[None], len(new_k), axis=0)]),
        np.concatenate([moved.ids_m[kept_m], tracks.started + np.arange(len(new_k))]),
        np.concatenate([moved.labels_m[kept_m], labels_n[new_k]]),
        np.concatenate([ages_m[kept_m], np.zeros(len(new_k), np.int64)]),
        np.concatenate([np.where(found_m, moved.hits_m + 1, 0)[kept_m], np.zeros(len(new_k), np.int64)]),
        tracks.frames + 1,
        tracks.started + len(new_k),
    )
    confirmed = (after.ages_m == 0) & ((after.hits_m >= options.min_hits) | (after.frames <= options.min_hits))
    return after, np.flatnonzero(confirmed), np.concatenate([detections_m[kept_m], new_k])


def predicted(tracks: SortTracks) -> SortTracks:
    """The tracks at the next frame, before its detections. An area that would not stay above 0 stops shrinking."""
    state_mx7 = tracks.state_mx7.copy()
    vanishes_m = state_mx7[:, AREA] + state_mx7[:, AREA_VELOCITY] <= 0
    state_mx7[vanishes_m, AREA_VELOCITY] = 0
    covariance_mx7x7 = TRANSITION @ tracks.covariance_mx7x7 @ TRANSITION.T + PROCESS_NOISE
    return dataclasses.replace(tracks, state_mx7=state_mx7 @ TRANSITION.T, covariance_mx7x7=covariance_mx7x7)


def assigned_detections(tracks: SortTracks, boxes_nx4: FloatArray, labels_n: IntArray, min_iou: float) -> IntArray:
    """The detection (m,) of each track, -1 for none: the assignment with the largest sum of IoUs, without pairs below `min_iou`."""
    same_mxn = tracks.labels_m[:, None] == labels_n[None]
    iou_mxn = np.where(same_mxn, boxes.iou(tracks.boxes_mx4()[:, None], boxes_nx4[None]), 0.0)
    detections_m = np.full(len(tracks.ids_m), -1)
    rows, columns = assigned_pairs(-iou_mxn)
    enough = iou_mxn[rows, columns] >= min_iou
    detections_m[rows[enough]] = columns[enough]
    return detections_m


def corrected(state_mx7: FloatArray, covariance_mx7x7: FloatArray, observed_mx4: FloatArray) -> tuple[FloatArray, FloatArray]:
    """States and covariances after the observations of the Kalman filter."""
    innovation = covariance_mx7x7[:, :OBSERVED, :OBSERVED] + OBSERVATION_NOISE
    gain_mx7x4 = np.linalg.solve(innovation, covariance_mx7x7[:, :OBSERVED]).swapaxes(1, 2)  # both matrices are symmetric
    residual_mx4 = observed_mx4 - state_mx7[:, :OBSERVED]
    return (
        state_mx7 + np.einsum("mij,mj->mi", gain_mx7x4, residual_mx4),
        covariance_mx7x7 - gain_mx7x4 @ covariance_mx7x7[:, :OBSERVED],
    )


def observed(boxes_nx4: FloatArray) -> FloatArray:
    """Center, area and ratio of width to height (n, 4) of boxes xyxy with area."""
    width_n, height_n = boxes_nx4[:, 2] - boxes_nx4[:, 0], boxes_nx4[:, 3] - boxes_nx4[:, 1]
    center_nx2 = (boxes_nx4[:, :2] + boxes_nx4[:, 2:]) / 2
    return np.concatenate([center_nx2, (width_n * height_n)[:, None], (width_n / height_n)[:, None]], axis=1)


def box_of(state_mx7: FloatArray) -> FloatArray:
    """The boxes xyxy (m, 4) of states."""
    width_m = np.sqrt(np.maximum(state_mx7[:, AREA] * state_mx7[:, RATIO], 0))
    height_m = np.divide(state_mx7[:, AREA], width_m, out=np.zeros_like(width_m), where=width_m > 0)
    half_mx2, center_mx2 = np.stack([width_m, height_m], axis=1) / 2, state_mx7[:, [CENTER_X, CENTER_Y]]
    return np.concatenate([center_mx2 - half_mx2, center_mx2 + half_mx2], axis=1)
