"""Writes tidecv_numbers.json: random rows and the numbers of tidecv for them, the oracle of test_detection_errors.py.

    python -m venv oracle && oracle/bin/pip install tidecv==1.0.1
    oracle/bin/python tests/evaluation/metrics/tidecv_numbers.py

Scores differ and every class has objects: tidecv orders ties as it happens to, and counts a class without objects as one of AP 0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

SIDE, CLASSES = 100, 3


def random_row(rng: np.random.Generator, number: int) -> dict[str, Any]:
    """A row of the task `detect` with detections near objects, of the right class or not, and elsewhere."""
    true, found = int(rng.integers(0, 6)), int(rng.integers(0, 14))
    low = rng.uniform(0, 0.6, (true + found, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.1, 0.4, (true + found, 2))], axis=1)
    labels, detected, detected_labels = rng.integers(0, CLASSES, true), boxes[true:], rng.integers(0, CLASSES, found)
    for d in np.flatnonzero(rng.random(found) < 0.8) if true else ():
        g = rng.integers(true)
        edges = np.clip(boxes[g] + rng.normal(0, rng.choice([0.01, 0.05, 0.12]), 4), 0, 1)
        detected[d] = [*np.minimum(edges[:2], edges[2:]), *np.maximum(edges[:2], edges[2:])]
        detected_labels[d] = labels[g] if rng.random() < 0.75 else detected_labels[d]
    row = {
        "id": f"{number:03d}", "group": f"{number:03d}", "width": SIDE, "height": SIDE,
        "boxes": boxes[:true].round(3).tolist(), "labels": labels.tolist(),
        "detected_boxes": detected.round(3).tolist(), "detected_labels": detected_labels.tolist(),
        "detected_scores": rng.random(found).round(6).tolist(),
    }  # fmt: skip
    crowd = {"crowd_boxes": [[0.1, 0.1, 0.8, 0.8]], "crowd_labels": [int(rng.integers(CLASSES))]}
    return row | (crowd if rng.random() < 0.3 else {})


def numbers(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The gains of AP50, as shares, and the counts of errors."""
    from tidecv import TIDE, Data

    truth, found = Data("truth", max_dets=100), Data("found", max_dets=100)
    for i, row in enumerate(rows):
        truth.add_image(i, row["id"])
        found.add_image(i, row["id"])
        for box, label in zip(row["boxes"], row["labels"], strict=True):
            truth.add_ground_truth(i, label, xywh(box))
        for box, label in zip(row.get("crowd_boxes", ()), row.get("crowd_labels", ()), strict=True):
            truth.add_ignore_region(i, label, xywh(box))
        for box, label, score in zip(row["detected_boxes"], row["detected_labels"], row["detected_scores"], strict=True):
            found.add_detection(i, label, score, xywh(box))
    tide = TIDE()
    run = tide.evaluate(truth, found, mode=TIDE.BOX)
    counts = {kind.short_name: count for kind, count in run.count_errors().items()}
    return {"gains": {kind: gain / 100 for kind, gain in tide.get_main_errors()["found"].items()}, "counts": counts}


def xywh(box: list[float]) -> list[float]:
    x0, y0, x1, y1 = (SIDE * edge for edge in box)
    return [x0, y0, x1 - x0, y1 - y0]


if __name__ == "__main__":
    cases = []
    for seed, images in enumerate((6, 25, 25)):
        rng = np.random.default_rng(seed)
        rows = [random_row(rng, number) for number in range(images)]
        assert {label for row in rows for label in row["labels"]} == set(range(CLASSES))
        cases.append({"rows": rows, **numbers(rows)})
    Path(__file__).with_suffix(".json").write_text(json.dumps(cases) + "\n")
