"""The scores of files of detections in Python, as `imgloc evaluate --predictions` prints them. Nothing here imports JAX."""

from __future__ import annotations

import math
from pathlib import Path

from imgloc.errors import UserError
from imgloc.evaluation import scoring
from imgloc.evaluation.coco_files import read_rows, read_truth
from imgloc.evaluation.paired import compare
from imgloc.evaluation.statistics import Interval

SAMPLES = 1000  # of the bootstrap
MAX_SAMPLES = 100_000


def check_options(samples: int, score_threshold: float | None, names: tuple[str, str] = ("samples", "score_threshold")) -> None:
    """Raises UserError, with the names of the two options, for a value that cannot be used."""
    if not 1 <= samples <= MAX_SAMPLES:
        raise UserError(f"{names[0]} must be from 1 to {MAX_SAMPLES}, got {samples}")
    if score_threshold is not None and not math.isfinite(score_threshold):
        raise UserError(f"{names[1]} must be a finite number, got {score_threshold}")


def evaluate_coco(
    predictions: str | Path,
    truth: str | Path,
    *,
    against: str | Path | None = None,
    score_threshold: float | None = None,
    samples: int = SAMPLES,
) -> dict[str, Interval]:
    """Return every metric of detection of a result file of COCO with its 95 % interval over images, by its key.

    `truth` is an instances file; its images without results count. Metrics of classes are METRIC/class/NAME. With `against`, another
    result file, the values are those of `predictions` minus those of `against`, with paired intervals. `score_threshold` is the
    lowest score of the detections that count in precision, recall, F1, `count_error` and `error_KIND_count`, by default 0.5. `samples`
    is the number of bootstrap samples, from 1 to 100,000. Raises UserError for files that cannot be scored, and for other values.
    """
    check_options(samples, score_threshold)
    content = read_truth(Path(truth))
    rows = read_rows(Path(predictions), content, score_threshold)
    if against is None:
        return scoring.intervals(rows, content.classes, None, samples=samples)
    return compare(read_rows(Path(against), content, score_threshold), rows, content.classes, None, samples=samples).differences
