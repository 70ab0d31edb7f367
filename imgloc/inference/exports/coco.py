"""COCO: results.json as pycocotools reads it, with ground_truth.json where the rows have the truth, else image_info.json.

Categories are numbered from 1 in the order of the classes, and images from 1 in the order of the rows; a box is x, y, width and
height in pixels of the upright image (https://cocodataset.org/#format-results). Crowds and difficult objects have
`iscrowd` 1: COCO has no mark of difficult objects, and without one a detection of them would be wrong.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from imgloc.boxes import to_pixels
from imgloc.interfaces import Export, ImageRow, Task


def files(rows: Sequence[ImageRow], classes: Sequence[str], task: Task) -> dict[str, str]:
    """`results.json`, and the images and categories that it refers to.

    They are in `ground_truth.json`, with the true boxes, where every row has the columns `boxes` and `labels`, else in
    `image_info.json`.
    """
    results = [
        {"image_id": number, "category_id": detection.label + 1, "bbox": _xywh(detection.box, each), "score": round(detection.score, 6)}
        for number, each in enumerate(rows, start=1)
        for detection in task.detections(each.row)
    ]
    images = [
        {"id": number, "file_name": each.name, "width": each.width, "height": each.height} for number, each in enumerate(rows, start=1)
    ]
    info = {"images": images, "categories": [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]}
    written: dict[str, Any] = {"results.json": results}
    if rows and all("boxes" in each.row and "labels" in each.row for each in rows):
        written["ground_truth.json"] = {**info, "annotations": _annotations(rows)}
    else:
        written["image_info.json"] = info
    return {name: json.dumps(content) + "\n" for name, content in written.items()}


def _annotations(rows: Sequence[ImageRow]) -> list[dict[str, Any]]:
    annotations: list[dict[str, Any]] = []
    for number, each in enumerate(rows, start=1):
        boxes, labels = each.row["boxes"], each.row["labels"]
        difficult, crowd_boxes = each.row.get("difficult") or [False] * len(boxes), each.row.get("crowd_boxes") or []
        objects = list(zip(boxes, labels, difficult, strict=True))
        objects += [(box, label, True) for box, label in zip(crowd_boxes, each.row.get("crowd_labels") or [], strict=True)]
        for box, label, crowd in objects:
            bbox = _xywh(box, each)
            annotation = {"id": len(annotations) + 1, "image_id": number, "category_id": label + 1, "bbox": bbox}
            annotations.append({**annotation, "area": round(bbox[2] * bbox[3], 3), "iscrowd": int(crowd)})
    return annotations


def _xywh(box: Sequence[float], each: ImageRow) -> list[float]:
    x0, y0, x1, y1 = to_pixels(np.asarray(box, np.float64), each.width, each.height).tolist()
    return [round(value, 3) for value in (x0, y0, x1 - x0, y1 - y0)]


EXPORT = Export("results.json of COCO, with the images, the categories and, where they are known, the true boxes", files, needs_boxes=True)
