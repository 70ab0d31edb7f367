"""CSV: one line for each predicted box, in pixels of the upright image; one line for each image where the task has no boxes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from imgloc.boxes import to_pixels
from imgloc.interfaces import Export, ImageRow, Task

EDGES = ("x0", "y0", "x1", "y1")
BOX_COLUMNS = ["image", "width", "height", "class", "score", *EDGES]


def records(rows: Sequence[ImageRow], classes: Sequence[str], task: Task) -> Iterator[dict[str, Any]]:
    """Yields a record for each predicted box: image, width, height, class, score, x0, y0, x1, y1.

    A task without boxes has one for each image, with the fields of its answer except boxes.
    """
    for each in rows:
        image = {"image": each.name, "width": each.width, "height": each.height}
        for detection in task.detections(each.row):
            box = to_pixels(np.asarray(detection.box, np.float64), each.width, each.height)
            edges = dict(zip(EDGES, (round(float(edge), 3) for edge in box), strict=True))
            yield {**image, "class": classes[detection.label], "score": round(detection.score, 6), **edges}
        if not task.has_boxes and each.row.get("finite", True):
            answer = task.answer_json(task.answer(each.row, classes, tuple), None)
            yield {**image, **{name: value for name, value in answer.items() if name != "box"}}


def files(rows: Sequence[ImageRow], classes: Sequence[str], task: Task) -> dict[str, str]:
    """`predictions.csv`, with the names of the columns in its first line."""
    text, every = io.StringIO(), list(records(rows, classes, task))
    columns = list(dict.fromkeys(name for record in every for name in record)) or BOX_COLUMNS
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(every)
    return {"predictions.csv": text.getvalue()}


EXPORT = Export("one line for each box: image, width, height, class, score and edges in pixels", files)
