"""Average precision of Pascal VOC, with 11 points of recall (VOC2007) and as the area under the curve (from VOC2010 on).

Everingham et al., 2010, IJCV 88:303, sections 4.2 and 4.4; Everingham et al., 2015, IJCV 111:98, section 3.1.2. An IoU of at least
50 % is required. Unlike in the development kit, whose boxes include their last pixel, edges are continuous. Difficult objects, and
crowds, neither count nor make a detection wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imgloc.detection import curves, matching
from imgloc.detection.objects import COLUMNS, from_rows
from imgloc.interfaces import Metric, MetricFamily, Weighted
from imgloc.types import FloatArray, Row

IOU = 0.5
RECALLS = {"voc_ap_11": curves.at_points(np.arange(11) / 10), "voc_ap_area": curves.area_under}


def weighted(rows: Sequence[Row]) -> Weighted:
    """`voc_ap_11` and `voc_ap_area`, and both for each class with an object."""
    objects = from_rows(rows)
    truths, found = objects.truths, objects.detections
    right_d, wrong_d = matching.voc(objects, IOU)
    ranked_d = np.lexsort((-found.score_d, found.class_d))
    ranked_d = ranked_d[(right_d | wrong_d)[ranked_d]]
    expected_g = np.flatnonzero(~truths.left_out_g)
    of_class = []
    for k, label in enumerate(objects.labels_k.tolist()):
        d, g = ranked_d[found.class_d[ranked_d] == k], expected_g[truths.class_g[expected_g] == k]
        if len(g):
            of_class.append((label, found.image_d[d], right_d[None, d], truths.image_g[g]))
    counts = dict.fromkeys(RECALLS, len(rows))
    counts |= {f"{key}/class/{label}": len(np.unique(image_g)) for key in RECALLS for label, _, _, image_g in of_class}

    def values(weights_rxn: FloatArray) -> Mapping[str, FloatArray]:
        value_kxrxm = np.full((max(1, len(of_class)), len(weights_rxn), len(RECALLS)), np.nan)
        result: dict[str, FloatArray] = {}
        for k, (label, image_d, right_1xd, image_g) in enumerate(of_class):
            weight_rxd, expected_rx1 = weights_rxn.take(image_d, axis=1), weights_rxn.take(image_g, axis=1).sum(axis=1, keepdims=True)
            for m, (key, reached) in enumerate(RECALLS.items()):
                ap_rx1 = curves.average_precision(right_1xd, np.ones_like(right_1xd), weight_rxd, expected_rx1, reached)
                value_kxrxm[k, :, m] = result[f"{key}/class/{label}"] = ap_rx1[:, 0]
        return dict(zip(RECALLS, curves.mean_over_classes(value_kxrxm).T, strict=True)) | result

    return Weighted(values, counts)


METRICS = MetricFamily(
    columns=COLUMNS,
    metrics=(
        Metric("voc_ap_11", "VOC AP, 11 points", "average precision of Pascal VOC 2007 at an IoU of 50 %, averaged over classes"),
        Metric("voc_ap_area", "VOC AP, area", "average precision of Pascal VOC 2010 and later at an IoU of 50 %, averaged over classes"),
    ),
    weighted=weighted,
)
