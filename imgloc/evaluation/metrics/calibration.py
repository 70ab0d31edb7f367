"""Expected calibration error: how far probabilities are from accuracies (Guo et al., 2017, arXiv:1706.04599, equation 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imgloc.interfaces import Metric, MetricFamily
from imgloc.tasks.classify import is_correct
from imgloc.types import FloatArray, Row

BINS = 15  # of equal width over [0, 1], as in the paper; a probability on an edge belongs to the lower bin


def statistics(rows: Sequence[Row]) -> Mapping[str, FloatArray]:
    """`calibration_error` [n, 2 BINS]: for each bin the correctness less the probability of its rows, and their number.

    An answer that is not finite counts as a wrong one of probability 1, the largest gap.
    """
    score_n = np.array([row["top_scores"][0] if row.get("finite", True) else 1.0 for row in rows], np.float64)
    bin_n = np.clip(np.ceil(score_n * BINS).astype(np.int64) - 1, 0, BINS - 1)
    values_nx2xs = np.zeros((len(rows), 2, BINS))
    values_nx2xs[np.arange(len(rows)), 0, bin_n] = is_correct(rows) - score_n
    values_nx2xs[np.arange(len(rows)), 1, bin_n] = 1.0
    return {"calibration_error": values_nx2xs.reshape(len(rows), -1)}


def calibration_error(sums: FloatArray) -> FloatArray:
    """[...] from sums [..., 2 BINS]: the mean over rows of the absolute gap of their bin; NaN without rows."""
    gap, count = np.split(sums, 2, axis=-1)
    total = count.sum(axis=-1)
    error: FloatArray = np.where(total > 0, np.abs(gap).sum(axis=-1) / np.where(total > 0, total, 1.0), np.nan)
    return error


METRICS = MetricFamily(
    columns=("label", "top_labels", "top_scores"),
    metrics=(
        Metric(
            "calibration_error",
            "Calibration error",
            f"gap between the probability and the accuracy of the predicted class, averaged over {BINS} bins of probability",
            higher_is_better=False,
            value=calibration_error,
        ),
    ),
    statistics=statistics,
)
