"""Errors of detectors by their kind, as TIDE defines them (Bolya et al., 2020, arXiv:2008.08115, section 2.2).

`error_KIND` is the AP50 that is gained where all errors of the kind are corrected, and `error_KIND_count` their number in an image among
the detections with at least the score threshold of the row. Numbers are those of tidecv 1.0.1 for boxes, with three of its details: the
first 100 detections of an image count; detections in crowds and difficult objects have errors too, although they do not count in AP50;
a gain is at least 0. Three details differ: tidecv counts errors at all scores; it counts a class without any object with an AP of 0,
which is left out here; and of objects with equal IoUs the last one is matched, as in COCO.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imgloc.detection import curves, matching
from imgloc.detection.objects import COLUMNS, Detections, Objects, from_rows, score_threshold
from imgloc.interfaces import Metric, MetricFamily, Weighted
from imgloc.types import BoolArray, FloatArray, IntArray, Row

FOREGROUND, BACKGROUND = 0.5, 0.1  # IoUs: a match, and the least overlap of a box that is meant to be on an object
LIMIT = 100  # detections of an image
POINTS = curves.at_points(np.arange(101) / 100)
KINDS = ("class", "localization", "both", "duplicate", "background", "missed")


class Errors(NamedTuple):
    """The errors of detections d and true objects g."""

    hit_d: BoolArray
    ignored_d: BoolArray  # in a crowd or difficult object
    kind_d: IntArray  # an index of `KINDS`, -1 for none
    corrected_d: BoolArray  # would find an object if it were corrected, as the best of its object
    class_of_object_d: IntArray  # that it would find
    missed_g: BoolArray


class ClassCurves(NamedTuple):
    """Detections of a class in seven variants: as they are, and with the errors of each kind corrected."""

    image_d: IntArray
    hit_vxd: BoolArray
    counted_vxd: BoolArray
    image_g: IntArray
    missed_g: BoolArray


def weighted(rows: Sequence[Row]) -> Weighted:
    """`error_KIND` and `error_KIND_count` for each kind."""
    objects = _first_detections(from_rows(rows))
    errors = find_errors(objects)
    of_class = _class_curves(objects, errors)
    threshold_n = np.array([score_threshold(row) for row in rows], np.float64)
    used = _with_detections(objects, np.flatnonzero(objects.detections.score_d >= threshold_n[objects.detections.image_d]))
    shown = find_errors(used)
    places = [used.detections.image_d[shown.kind_d == kind] for kind in range(5)] + [objects.truths.image_g[shown.missed_g]]
    count_nxe = np.stack([np.bincount(place, minlength=objects.images) for place in places], axis=1).astype(np.float64)

    def values(weights_rxn: FloatArray) -> Mapping[str, FloatArray]:
        none_kxrxv = np.full((1, len(weights_rxn), 1 + len(KINDS)), np.nan)
        ap_rxv = curves.mean_over_classes(np.stack([_precision(each, weights_rxn) for each in of_class]) if of_class else none_kxrxv)
        gain_rxe = np.maximum(ap_rxv[:, 1:] - ap_rxv[:, :1], 0.0)
        total_rx1 = weights_rxn.sum(axis=1, keepdims=True)
        mean_rxe = np.where(total_rx1 > 0, weights_rxn @ count_nxe / np.where(total_rx1 > 0, total_rx1, 1.0), np.nan)
        return dict(zip((metric.key for metric in METRICS.metrics), [*gain_rxe.T, *mean_rxe.T], strict=True))

    return Weighted(values, {metric.key: len(rows) for metric in METRICS.metrics})


def find_errors(objects: Objects) -> Errors:
    """The errors of the detections of each image and the objects that are missed."""
    truths, found = objects.truths, objects.detections
    regular_g = ~truths.left_out_g
    cell_g, cell_d = matching.cells(objects)
    matches = matching.greedy(objects, np.array([FOREGROUND]), truths.left_out_g[None])
    hit_d = matches.matched_axtxd[0, 0] & ~matches.left_out_axtxd[0, 0]
    used_g = matches.used_axtxg[0, 0] & regular_g
    ignored_d = np.zeros(len(hit_d), np.bool_)
    own_d, other_d, taken_d, any_d = np.zeros((4, len(hit_d)))
    own_object_d, other_object_d = np.full((2, len(hit_d)), -1)
    for each in matching.in_chunks(found.image_d, truths.image_g):
        iou_p = matching.iou(objects, each, crowds=False)
        same_p = cell_d[each.d_p] == cell_g[each.g_p]
        within_p = matching.share_inside(objects, each) * (same_p & ~regular_g[each.g_p])
        iou_p = iou_p * regular_g[each.g_p]
        d_s = each.d_s
        ignored_d[d_s] = (matching.best_in_segment(within_p, each)[0] > FOREGROUND) & ~hit_d[d_s]
        own_d[d_s], own_object_d[d_s] = matching.best_in_segment(iou_p * same_p, each)
        other_d[d_s], other_object_d[d_s] = matching.best_in_segment(iou_p * ~same_p, each)
        taken_d[d_s] = matching.best_in_segment(iou_p * (same_p & used_g[each.g_p]), each)[0]
        any_d[d_s] = matching.best_in_segment(iou_p, each)[0]
    conditions = (
        (own_d >= BACKGROUND) & (own_d <= FOREGROUND), other_d >= FOREGROUND, taken_d >= FOREGROUND, any_d <= BACKGROUND,
    )  # fmt: skip
    kind_d = np.select([hit_d, *conditions], [-1, 1, 0, 3, 4], 2)
    object_d = np.select([kind_d == 1, kind_d == 0], [own_object_d, other_object_d], -1)
    corrects_d = (object_d >= 0) & ~used_g[object_d] if len(used_g) else np.zeros(len(hit_d), np.bool_)
    # Detections of an image by falling score: the first that would find an object is the one that does.
    order_d = np.lexsort((-found.score_d, found.image_d))
    order_d = order_d[corrects_d[order_d]]
    objects_found, first = np.unique(object_d[order_d], return_index=True)
    corrected_d = np.zeros(len(hit_d), np.bool_)
    corrected_d[order_d[first]] = True
    missed_g = regular_g & ~used_g
    missed_g[objects_found] = False
    class_of_object_d = truths.class_g[object_d] if len(used_g) else np.zeros(len(hit_d), np.int64)
    return Errors(hit_d, ignored_d, kind_d, corrected_d, class_of_object_d, missed_g)


def _class_curves(objects: Objects, errors: Errors) -> list[ClassCurves]:
    """The curves of each class with an object. A detection whose class is corrected is listed in its new class too."""
    truths, found = objects.truths, objects.detections
    moved = np.flatnonzero(errors.corrected_d & (errors.kind_d == 0))
    d = np.concatenate([np.arange(len(found.score_d)), moved])
    is_moved_d = np.arange(len(d)) >= len(found.score_d)
    kind_d, corrected_d = errors.kind_d[d], errors.corrected_d[d]
    hit_vxd = np.tile(errors.hit_d[d] & ~is_moved_d, (7, 1))
    counted_vxd = np.tile(~errors.ignored_d[d] & ~is_moved_d, (7, 1))
    for e in range(5):
        hit_vxd[1 + e] |= (kind_d == e) & corrected_d & ((e == 1) | is_moved_d)
        counted_vxd[1 + e] = (counted_vxd[1 + e] & (kind_d != e)) | hit_vxd[1 + e]
    class_d = np.where(is_moved_d, errors.class_of_object_d[d], found.class_d[d])
    order_d = np.lexsort((-found.score_d[d], class_d))
    bounds = np.searchsorted(class_d[order_d], np.arange(len(objects.labels_k) + 1))
    of_class = []
    for k in range(len(objects.labels_k)):
        own_d, g = order_d[bounds[k] : bounds[k + 1]], np.flatnonzero((truths.class_g == k) & ~truths.left_out_g)
        if len(g):
            images_d = found.image_d[d[own_d]]
            of_class.append(ClassCurves(images_d, hit_vxd[:, own_d], counted_vxd[:, own_d], truths.image_g[g], errors.missed_g[g]))
    return of_class


def _precision(each: ClassCurves, weights_rxn: FloatArray) -> FloatArray:
    """AP50 [r, v] of a class. Without missed objects a class may have none: its AP is then 0, or it does not count without detections."""
    weight_rxd, weight_rxg = weights_rxn.take(each.image_d, axis=1), weights_rxn.take(each.image_g, axis=1)
    expected_r, found_r = weight_rxg.sum(axis=1), weight_rxg[:, ~each.missed_g].sum(axis=1)
    expected_rxv = np.stack([expected_r] * len(KINDS) + [found_r], axis=1)
    ap_rxv = curves.average_precision(each.hit_vxd, each.counted_vxd, weight_rxd, expected_rxv, POINTS)
    only_wrong_r = (expected_r > 0) & (found_r == 0) & (weight_rxd[:, each.counted_vxd[-1]].sum(axis=1) > 0)
    ap_rxv[only_wrong_r, -1] = 0.0
    return ap_rxv


def _first_detections(objects: Objects) -> Objects:
    """The objects with the `LIMIT` detections of the highest scores of each image."""
    found = objects.detections
    order_d = np.lexsort((-found.score_d, found.image_d))
    return _with_detections(objects, np.sort(order_d[matching.rank_in_cell(found.image_d) < LIMIT]))


def _with_detections(objects: Objects, kept_k: IntArray) -> Objects:
    """The objects with the detections of these indices."""
    found = objects.detections
    kept = Detections(found.image_d[kept_k], found.class_d[kept_k], found.boxes_dx4[kept_k], found.score_d[kept_k])
    return objects._replace(detections=kept)


_MEANINGS = {
    "class": "detections with the wrong class and an IoU of at least 50 %",
    "localization": "detections of the right class with an IoU of 10 % to 50 %",
    "both": "detections of the wrong class with an IoU of 10 % to 50 %",
    "duplicate": "detections of an object that a detection with a higher score matches",
    "background": "detections with an IoU of at most 10 % with every object",
    "missed": "objects that no detection matches, even after correction",
}
METRICS = MetricFamily(
    columns=COLUMNS,
    metrics=(
        *(
            Metric(
                f"error_{kind}", f"AP50 lost to errors: {kind}", f"gain in AP50 if these errors were corrected: {what}",
                higher_is_better=False,
            )
            for kind, what in _MEANINGS.items()
        ),
        *(
            Metric(
                f"error_{kind}_count", f"Errors in an image: {kind}",
                f"mean number in an image, with at least the threshold score: {what}",
                unit="errors", higher_is_better=False,
            )
            for kind, what in _MEANINGS.items()
        ),
    ),
    weighted=weighted,
)  # fmt: skip
