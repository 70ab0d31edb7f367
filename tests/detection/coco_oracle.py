"""Random objects of images, as rows and as pycocotools reads them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

NAMES = (
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip


def quiet(function: Any, *arguments: Any) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments)


def coco_evaluation(truth: dict[str, Any], results: list[dict[str, Any]]) -> COCOeval:
    """pycocotools's evaluation of a COCO file and of results, accumulated."""

    def evaluate() -> COCOeval:
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        found = coco.loadRes(results) if results else COCO()
        if not results:
            found.dataset = {**truth, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(coco, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return evaluation

    return quiet(evaluate)


def coco_numbers(truth: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, float]:
    """Its twelve numbers, and `ap/class/K` of each class with an object; those that do not apply (-1) are left out."""
    evaluation = coco_evaluation(truth, results)
    numbers = dict(zip(NAMES, (float(value) for value in evaluation.stats), strict=True))
    for k, label in enumerate(evaluation.params.catIds):
        precision_txr = evaluation.eval["precision"][:, :, k, 0, -1]
        numbers[f"ap/class/{label - 1}"] = float(precision_txr.mean())
        numbers[f"ap50/class/{label - 1}"] = float(precision_txr[0].mean())
        numbers[f"ar_100/class/{label - 1}"] = float(evaluation.eval["recall"][:, k, 0, -1].mean())
    return {key: value for key, value in numbers.items() if value > -1}


def random_rows(rng: np.random.Generator, images: int, *, classes: int = 3, most: int = 6, grid: int = 40) -> list[dict[str, Any]]:
    """Rows with ties, crowds, duplicates, empty images and boxes of area 0: corners lie on a coarse grid, scores on a few values."""
    rows = []
    for i in range(images):
        width, height = (int(side) for side in rng.choice([grid, 4 * grid], 2))
        true, crowd, found = (int(n) for n in rng.integers(0, (most + 1, 2, 3 * most + 1)))
        boxes = random_boxes(rng, true, grid)
        near = boxes[rng.integers(0, max(true, 1), found)] if true else random_boxes(rng, found, grid)
        moved = np.where(rng.random((found, 1)) < 0.6, np.clip(near + rng.integers(-4, 5, (found, 4)) / grid, 0, 1), near)
        detected = np.concatenate([np.minimum(moved[:, :2], moved[:, 2:]), np.maximum(moved[:, :2], moved[:, 2:])], axis=1)
        row = {
            "id": f"{i:04d}", "group": f"g{i}", "width": width, "height": height,
            "boxes": boxes.tolist(), "labels": rng.integers(0, classes, true).tolist(),
            "detected_boxes": detected.tolist(), "detected_labels": rng.integers(0, classes + 1, found).tolist(),
            "detected_scores": np.sort(rng.choice(np.arange(1, 30) / 30, found))[::-1].tolist(),
        }  # fmt: skip
        if crowd:
            row |= {"crowd_boxes": random_boxes(rng, crowd, grid).tolist(), "crowd_labels": rng.integers(0, classes, crowd).tolist()}
        rows.append(row)
    return rows


def random_boxes(rng: np.random.Generator, count: int, grid: int) -> np.ndarray:
    """[count, 4] in [0, 1]; one in ten has no area."""
    low = rng.integers(0, grid - 1, (count, 2))
    size = np.where(rng.random((count, 1)) < 0.1, 0, rng.integers(1, grid // 2, (count, 2)))
    return np.concatenate([low, np.minimum(low + size, grid)], axis=1) / grid


def as_coco(rows: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(the content of an instances file, the list of a result file) of rows; crowds follow the objects of their image."""
    annotations, results = [], []
    labels = {label for row in rows for name in ("labels", "crowd_labels", "detected_labels") for label in row.get(name, ())}
    for number, row in enumerate(rows, start=1):
        pairs = [(*pair, 0) for pair in zip(row["boxes"], row["labels"], strict=True)]
        pairs += [(*pair, 1) for pair in zip(row.get("crowd_boxes", ()), row.get("crowd_labels", ()), strict=True)]
        for box, label, crowd in pairs:
            bbox = xywh(box, row)
            entry = {"id": len(annotations) + 1, "image_id": number, "category_id": label + 1, "bbox": bbox, "iscrowd": crowd}
            annotations.append({**entry, "area": bbox[2] * bbox[3]})
        for box, label, score in zip(row["detected_boxes"], row["detected_labels"], row["detected_scores"], strict=True):
            results.append({"image_id": number, "category_id": label + 1, "bbox": xywh(box, row), "score": score})
    images = [{"id": number, "width": row["width"], "height": row["height"]} for number, row in enumerate(rows, start=1)]
    return {"images": images, "categories": [{"id": k + 1, "name": f"c{k}"} for k in sorted(labels)], "annotations": annotations}, results


def xywh(box: Sequence[float], row: dict[str, Any]) -> list[float]:
    x0, y0, x1, y1 = box
    return [x0 * row["width"], y0 * row["height"], (x1 - x0) * row["width"], (y1 - y0) * row["height"]]
