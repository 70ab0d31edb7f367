"""Right, false and missed objects of each image at the score from which detections are used, and the choice of that score.

A detection is right if COCO's rule matches it at an IoU of 50 % with an object of its class; classes are pooled. Detections of difficult
objects and of crowds do not count, and neither do these objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from imgloc.detection.matching import greedy
from imgloc.detection.objects import DEFAULT_THRESHOLD, Objects, from_rows, score_threshold
from imgloc.types import BoolArray, FloatArray, Row

IOU = 0.5


class Counts(NamedTuple):
    """Numbers of each of n images, as floats."""

    right_n: FloatArray  # detections that find an object
    used_n: FloatArray  # detections that count, right or false
    true_n: FloatArray  # objects that count, found or missed


def count_at_threshold(rows: Sequence[Row]) -> Counts:
    """Count at the score threshold of each row."""
    objects = from_rows(rows)
    right_d, counts_d = _matched(objects)
    image_d, images = objects.detections.image_d, objects.images
    threshold_n = np.array([score_threshold(row) for row in rows], np.float64)
    used_d = counts_d & (objects.detections.score_d >= threshold_n[image_d])
    image_g = objects.truths.image_g[~objects.truths.left_out_g]
    counts = (np.bincount(image_o, minlength=images) for image_o in (image_d[used_d & right_d], image_d[used_d], image_g))
    return Counts(*(count_n.astype(np.float64) for count_n in counts))


def best_threshold(rows: Sequence[Row]) -> float:
    """Return the score threshold with the highest F1, the highest one of several; DEFAULT_THRESHOLD without any right detection.

    F1 is 2 TP / (2 TP + FP + FN). Matches do not depend on the threshold, because detections choose in the order of their scores.
    """
    objects = from_rows(rows)
    right_d, counts_d = _matched(objects)
    score_d, right_d = objects.detections.score_d[counts_d], right_d[counts_d]
    if not right_d.any():
        return DEFAULT_THRESHOLD
    order_d = np.argsort(-score_d, kind="stable")
    score_d, right_d = score_d[order_d], right_d[order_d]
    f1_d = 2 * np.cumsum(right_d) / (np.arange(1, len(score_d) + 1) + np.count_nonzero(~objects.truths.left_out_g))
    last_d = np.append(score_d[1:] < score_d[:-1], True)  # detections of one score come and go together
    return float(score_d[last_d][np.argmax(f1_d[last_d])])


def _matched(objects: Objects) -> tuple[BoolArray, BoolArray]:
    """Whether each detection [d] is right, and whether it counts. Higher scores choose first, so no threshold changes this."""
    matches = greedy(objects, np.array([IOU]), objects.truths.left_out_g[None])
    matched_d, left_out_d = matches.matched_axtxd[0, 0], matches.left_out_axtxd[0, 0]
    return matched_d & ~left_out_d, ~left_out_d
