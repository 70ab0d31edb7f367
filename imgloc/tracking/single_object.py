"""How well one object is followed through a video, from its overlaps and distances in each frame.

Frames in which the object has no box do not count. Frames in which it is hidden count where their truth has a box.
"""

from __future__ import annotations

import numpy as np

from imgloc.types import BoolArray, FloatArray

OVERLAPS = np.linspace(0.0, 1.0, 21)  # thresholds of the success curve
PIXELS = 20.0  # the threshold of the precision
SHARES = np.linspace(0.0, 0.5, 51)  # thresholds of the normalized precision
FOUND = 0.5  # IoU from which an object is found again
HIDDEN = 0.25  # visible share below which an object is hidden
PATIENCE = 10  # frames: without an overlap for so long the object is lost, and within them it may be found again
LOST = 0.1  # up to this IoU, boxes count as not overlapping


def success_auc(iou_t: FloatArray) -> float:
    """The area under the success curve: the mean over 21 thresholds from 0 to 1 of the share of frames with a larger IoU.

    Wu et al., 2015 (OTB, doi:10.1109/TPAMI.2014.2388226). NaN without frames.
    """
    counted = iou_t[~np.isnan(iou_t)]
    return float((counted[:, None] > OVERLAPS).mean()) if len(counted) else float("nan")


def center_errors(truth_tx4: FloatArray, found_tx4: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The distances (t,) of the centers, in pixels and in sides of the true box; infinite without a box, NaN without an object."""
    offset = ((found_tx4[:, :2] + found_tx4[:, 2:]) - (truth_tx4[:, :2] + truth_tx4[:, 2:])) / 2
    sides = np.maximum(truth_tx4[:, 2:] - truth_tx4[:, :2], 1e-9)
    absent, missing = np.isnan(truth_tx4[:, 0]), np.isnan(found_tx4[:, 0])
    errors = (np.hypot(*(each.T)) for each in (offset, offset / sides))
    pixels, normalized = (np.where(absent, np.nan, np.where(missing, np.inf, error)) for error in errors)
    return pixels, normalized


def precision(errors_t: FloatArray, at_most: float = PIXELS) -> float:
    """The share of frames whose centers are at most 20 pixels apart (OTB). NaN without frames."""
    counted = errors_t[~np.isnan(errors_t)]
    return float((counted <= at_most).mean()) if len(counted) else float("nan")


def normalized_precision(normalized_t: FloatArray) -> float:
    """The mean over thresholds from 0 to 0.5 of the share of frames whose normalized distance is at most the threshold.

    Muller et al., 2018 (TrackingNet, arXiv:1803.10794, section 3.3). NaN without frames.
    """
    counted = normalized_t[~np.isnan(normalized_t)]
    return float((counted[:, None] <= SHARES).mean()) if len(counted) else float("nan")


def frames_until_lost(iou_t: FloatArray) -> int:
    """Returns the number of frames before the first of 10 consecutive frames with an IoU of at most 0.1.

    It is the number of all frames if there are no such frames. A shorter run at the end of a video is not a failure, as in VOT since
    2020 (Kristan et al., 2020, doi:10.1007/978-3-030-68238-5_39, section 2.1). There is one start.
    """
    below = 0
    for place, iou in enumerate(iou_t):
        below = below + 1 if iou <= LOST else 0  # a frame without an object ends a failure
        if below == PATIENCE:
            return place + 1 - PATIENCE
    return len(iou_t)


def accuracy_and_robustness(iou_t: FloatArray) -> tuple[float, float]:
    """The mean IoU before the object is lost, and the share of frames before it (VOT). NaN without frames."""
    before = iou_t[: frames_until_lost(iou_t)]
    before = before[~np.isnan(before)]
    count = np.sum(~np.isnan(iou_t))
    return float(before.mean()) if len(before) else float("nan"), float(len(before) / count) if count else float("nan")


def occlusions(visible_t: FloatArray) -> list[tuple[int, int]]:
    """The first and the last frame, excluded, of each time that the object is hidden between two times that it is seen."""
    hidden_t: BoolArray = np.asarray(visible_t) < HIDDEN
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden_t.astype(int), [0]])))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(first, last) for first, last in pairs if first > 0 and last < len(hidden_t)]


def survived_and_recovered(iou_t: FloatArray, visible_t: FloatArray) -> tuple[float, float]:
    """The shares of occlusions after which the IoU is at least 0.5: at once, and within 10 frames. NaN without occlusions."""
    found_t = np.nan_to_num(iou_t) >= FOUND
    ends = [last for _, last in occlusions(visible_t)]
    if not ends:
        return float("nan"), float("nan")
    return float(np.mean([found_t[end] for end in ends])), float(np.mean([found_t[end : end + PATIENCE].any() for end in ends]))
