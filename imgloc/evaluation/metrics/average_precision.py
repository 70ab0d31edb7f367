"""Average precision and average recall of COCO (Lin et al., 2014, arXiv:1405.0312; https://cocodataset.org/#detection-eval).

The numbers are those of pycocotools, to its rounding: 10 thresholds of IoU, 101 points of recall, at most 100 detections of a class in
an image. Areas are in pixels of the image file; images whose size is not known do not count in the metrics of small, medium and
large objects. Difficult objects are left out, as crowds are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imgloc.detection import curves
from imgloc.detection.matching import Matches, cells, greedy, rank_in_cell
from imgloc.detection.objects import COLUMNS, Objects, from_rows
from imgloc.interfaces import Metric, MetricFamily, Weighted
from imgloc.types import BoolArray, FloatArray, IntArray, Row

THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}  # both ends included
LIMITS = (1, 10, 100)  # of detections of a class in an image
BY_CLASS = ("ap", "ap50", "ap75", "ar_100")


class ClassCurves(NamedTuple):
    """The matched detections d of a class by falling score, and its true objects g; images by their index."""

    label: int
    image_d: IntArray
    hit_axtxd: BoolArray
    counted_axtxd: BoolArray
    rank_d: IntArray  # in its image
    image_g: IntArray
    expected_axg: BoolArray


def weighted(rows: Sequence[Row]) -> Weighted:
    """All metrics of the file, and those of `BY_CLASS` for each class with an object."""
    objects = from_rows(rows)
    of_class = _class_curves(objects)
    counts = {metric.key: len(rows) for metric in METRICS.metrics}
    for each in of_class:
        images = len(np.unique(each.image_g[each.expected_axg[0]]))
        counts |= {f"{key}/class/{each.label}": images for key in BY_CLASS}

    def values(weights_rxn: FloatArray) -> Mapping[str, FloatArray]:
        none_kxrxm = np.full((1, len(weights_rxn), len(KEYS)), np.nan)
        value_kxrxm = np.stack([_values(each, weights_rxn) for each in of_class]) if of_class else none_kxrxm
        found = dict(zip(KEYS, curves.mean_over_classes(value_kxrxm).T, strict=True))
        for each, value_rxm in zip(of_class, value_kxrxm, strict=False):
            found |= {f"{key}/class/{each.label}": value_rxm[:, KEYS.index(key)] for key in BY_CLASS}
        return found

    return Weighted(values, counts)


def outside_areas(area_o: FloatArray, sized_o: BoolArray) -> BoolArray:
    """Whether objects lie outside the ranges of `AREAS`, [a, o]; objects of unknown area lie in the first one alone."""
    outside_axo = np.stack([(area_o < low) | (area_o > high) for low, high in AREAS.values()])
    outside_axo[1:] |= ~sized_o
    return outside_axo


def _class_curves(objects: Objects) -> list[ClassCurves]:
    """The curves of each class that has an object which is not left out."""
    truths, found = objects.truths, objects.detections
    left_out_axg = truths.left_out_g | outside_areas(truths.area_g, objects.sized_n[truths.image_g])
    outside_axd = outside_areas(found.boxes_dx4[:, 2] * found.boxes_dx4[:, 3], objects.sized_n[found.image_d])
    matches: Matches = greedy(objects, THRESHOLDS, left_out_axg, limit=LIMITS[-1])
    rank_d = rank_in_cell(cells(objects)[1])
    hit_axtxd = matches.matched_axtxd & ~matches.left_out_axtxd
    counted_axtxd = hit_axtxd | (~matches.matched_axtxd & ~outside_axd[:, None])
    ranked_d = np.lexsort((-found.score_d, found.class_d))  # ties keep the order of images, as in pycocotools
    ranked_d = ranked_d[rank_d[ranked_d] < LIMITS[-1]]
    by_class_g = np.argsort(truths.class_g, kind="stable")
    classes = np.arange(len(objects.labels_k) + 1)
    first_d, first_g = np.searchsorted(found.class_d[ranked_d], classes), np.searchsorted(truths.class_g[by_class_g], classes)
    of_class = []
    for k, label in enumerate(objects.labels_k.tolist()):
        d, g = ranked_d[first_d[k] : first_d[k + 1]], by_class_g[first_g[k] : first_g[k + 1]]
        if not left_out_axg[0, g].all():
            of_class.append(
                ClassCurves(
                    label, found.image_d[d], hit_axtxd[:, :, d], counted_axtxd[:, :, d], rank_d[d], truths.image_g[g], ~left_out_axg[:, g]
                )
            )
    return of_class


def _values(each: ClassCurves, weights_rxn: FloatArray) -> FloatArray:
    """The metrics [r, m] of a class in the order of `KEYS`; NaN where the class has no object of the size."""
    weight_rxd = weights_rxn.take(each.image_d, axis=1)
    expected_rxa = weights_rxn.take(each.image_g, axis=1) @ each.expected_axg.T.astype(np.float64)
    precision_axrxt = [
        curves.average_precision(hit_txd, counted_txd, weight_rxd, expected_rxa[:, a, None], curves.COCO_POINTS)
        for a, (hit_txd, counted_txd) in enumerate(zip(each.hit_axtxd, each.counted_axtxd, strict=True))
    ]
    mean_rxa = np.stack([precision_rxt.mean(axis=1) for precision_rxt in precision_axrxt], axis=1)
    share_axd = each.hit_axtxd.mean(axis=1)  # of the thresholds
    share_mxd = np.stack([*(share_axd[0] * (each.rank_d < limit) for limit in LIMITS), *share_axd[1:]])
    expected_rxm = expected_rxa[:, [0] * len(LIMITS) + [1, 2, 3]]
    found_rxm = np.einsum("rd,md->rm", weight_rxd, share_mxd)  # a matrix product would start more threads in each thread
    recall_rxm = np.where(expected_rxm > 0, found_rxm / np.where(expected_rxm > 0, expected_rxm, 1.0), np.nan)
    return np.concatenate([mean_rxa[:, :1], precision_axrxt[0][:, [0, 5]], mean_rxa[:, 1:], recall_rxm], axis=1)


_SIZES = {"small": "smaller than 32² pixels", "medium": "of 32² to 96² pixels", "large": "larger than 96² pixels"}
_MEAN = "averaged over classes"
METRICS = MetricFamily(
    columns=COLUMNS,
    metrics=(
        Metric("ap", "AP", "average precision of COCO, averaged over IoU thresholds from 50 % to 95 % and classes"),
        Metric("ap50", "AP50", f"average precision of COCO where a detection needs an IoU of 50 %, {_MEAN}"),
        Metric("ap75", "AP75", f"average precision of COCO where a detection needs an IoU of 75 %, {_MEAN}"),
        *(Metric(f"ap_{size}", f"AP, {size} objects", f"AP of objects {what}") for size, what in _SIZES.items()),
        *(
            Metric(
                f"ar_{limit}", f"AR@{limit}",
                f"recall with at most {limit} detection{'s' * (limit > 1)} of a class in an image, averaged over IoUs and classes",
            )
            for limit in LIMITS
        ),
        *(Metric(f"ar_{size}", f"AR, {size} objects", f"AR@100 of objects {what}") for size, what in _SIZES.items()),
    ),
    weighted=weighted,
)  # fmt: skip
KEYS = [metric.key for metric in METRICS.metrics]
