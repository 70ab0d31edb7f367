"""MOTA, IDF1 and HOTA of all tracks of videos; see `imgloc.tracking.multi_object`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imgloc.interfaces import Metric, MetricFamily
from imgloc.tracking.multi_object import clear, hota, hota_of, identity, idf1_of, mota_of, pairwise
from imgloc.tracking.rows import COLUMNS, predicted_tracks, true_tracks
from imgloc.types import FloatArray, Row


def statistics(rows: Sequence[Row]) -> Mapping[str, FloatArray]:
    """The counts [n, s] of each metric."""
    overlaps = [pairwise(true_tracks(row), predicted_tracks(row)) for row in rows]
    return {
        "mota": np.array([clear(each) for each in overlaps], np.float64),
        "idf1": np.array([identity(each) for each in overlaps], np.float64),
        "hota": np.array([np.concatenate(hota(each)) for each in overlaps], np.float64),
    }


METRICS = MetricFamily(
    columns=COLUMNS,
    metrics=(
        Metric("mota", "MOTA", "1 minus the share of misses, false positives and identity switches in the true boxes", value=mota_of),
        Metric("idf1", "IDF1", "F1 of boxes under the best assignment of whole tracks to objects", value=idf1_of),
        Metric("hota", "HOTA", "geometric mean of detection and association accuracy, averaged over 19 IoU thresholds", value=hota_of),
    ),
    statistics=statistics,
)
