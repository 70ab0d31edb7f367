"""The scores of files of detections in Python, as `imgloc evaluate --predictions` prints them. Nothing here imports JAX."""

from __future__ import annotations

from pathlib import Path

from imgloc.evaluation import scoring
from imgloc.evaluation.coco_files import read_rows, read_truth
from imgloc.evaluation.paired import compare
from imgloc.evaluation.statistics import Interval

SAMPLES = 1000  # of the bootstrap


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
    result file, the values are those of `predictions` less those of `against`, with paired intervals. `score_threshold` is the score
    from which detections count in precision, recall, F1 and the count error, by default 0.5. `samples` is the number of bootstrap
    samples. Raises UserError for files that cannot be scored.
    """
    content = read_truth(Path(truth))
    rows = read_rows(Path(predictions), content, score_threshold)
    if against is None:
        return scoring.intervals(rows, content.classes, None, samples=samples)
    return compare(read_rows(Path(against), content, score_threshold), rows, content.classes, None, samples=samples).differences
