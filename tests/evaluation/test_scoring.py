"""From rows to numbers: slices, intervals and names, against a count in plain Python."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from imgloc.evaluation import scoring

CLASSES = ("zero", "one", "two", "never")


def random_rows(n: int = 240) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        size = rng.uniform(0.1, 0.9)
        low = rng.uniform(0, 1 - size)
        box = [low, low, low + size, low + size]
        moved = [min(1.0, max(0.0, edge + rng.uniform(-0.2, 0.2))) for edge in box]
        pred = [min(moved[0], moved[2]), min(moved[1], moved[3]), max(moved[0], moved[2]), max(moved[1], moved[3])]
        label = int(rng.integers(3))
        top = [label, (label + 1) % 3] if rng.random() < 0.7 else [(label + 1) % 3, label]
        rows.append(
            {"id": f"{i:04d}", "group": f"g{i // 2}", "split": "test", "label": label, "boxes": [box] if i % 6 else [],
             "labels": [label] if i % 6 else [], "top_labels": top, "top_scores": [0.6, 0.4], "pred_box": pred}
        )  # fmt: skip
    return rows


ROWS = random_rows()


def mean(values: list[float]) -> float:
    kept = [value for value in values if not math.isnan(value)]
    return sum(kept) / len(kept)


def test_slices_by_class_and_size() -> None:
    found = scoring.slices(ROWS, CLASSES)
    assert set(found) == {"class/zero", "class/one", "class/two", "size/small", "size/medium", "size/large"}
    for k, name in enumerate(CLASSES[:3]):
        assert found[f"class/{name}"].tolist() == [row["label"] == k for row in ROWS]
    for i, row in enumerate(ROWS):
        inside = [name for name in ("small", "medium", "large") if found[f"size/{name}"][i]]
        if not row["boxes"]:
            assert inside == []
            continue
        x0, y0, x1, y1 = row["boxes"][0]
        side = math.sqrt((x1 - x0) * (y1 - y0))
        assert inside == ["small" if side < 0.25 else "medium" if side < 0.5 else "large"]


def test_the_largest_box_decides_the_size_and_the_whole_image_is_large() -> None:
    whole = {**ROWS[1], "boxes": [[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.1, 0.1]]}
    assert set(scoring.slices([whole], CLASSES)) == {f"class/{CLASSES[whole['label']]}", "size/large"}


def test_means_are_counts() -> None:
    found = scoring.means(ROWS)
    assert found["top1"] == pytest.approx(sum(row["top_labels"][0] == row["label"] for row in ROWS) / len(ROWS))
    values = scoring.per_row(ROWS)
    assert found["mean_iou"] == pytest.approx(mean(values["mean_iou"].tolist()))
    assert found["top1_loc_50"] == pytest.approx(mean(values["top1_loc_50"].tolist()))
    nowhere = [{**row, "boxes": [], "labels": []} for row in ROWS]
    assert set(scoring.means(nowhere)) == {"top1"}  # nothing that applies to no row


def test_intervals_of_the_whole_and_of_slices() -> None:
    found = scoring.intervals(ROWS, CLASSES, resamples=500)
    values = scoring.per_row(ROWS)
    for name, whole in scoring.means(ROWS).items():
        assert found[name].mean == pytest.approx(whole)
        assert found[name].low <= found[name].mean <= found[name].high
        assert found[name].low < found[name].high
    assert found["top1"].n == 240
    assert found["mean_iou"].n == 200
    for part, mask in scoring.slices(ROWS, CLASSES).items():
        inside = [v for v, m in zip(values["gt_known_50"].tolist(), mask.tolist(), strict=True) if m]
        assert found[f"gt_known_50/{part}"].mean == pytest.approx(mean(inside))
        assert found[f"gt_known_50/{part}"].n == sum(not math.isnan(v) for v in inside)
    assert not any("never" in name for name in found)


def test_intervals_do_not_depend_on_the_order_of_rows_but_on_their_groups() -> None:
    found = scoring.intervals(ROWS, CLASSES, resamples=200)
    backwards = scoring.intervals(ROWS[::-1], CLASSES, resamples=200)
    assert {k: v.mean for k, v in backwards.items()} == pytest.approx({k: v.mean for k, v in found.items()})
    assert {k: v.low for k, v in backwards.items()} == pytest.approx({k: v.low for k, v in found.items()})
    alone = scoring.intervals([{**row, "group": row["id"]} for row in ROWS], CLASSES, resamples=200)
    assert alone["top1"].low != found["top1"].low


def test_rows_without_boxes_columns_get_the_metrics_that_apply() -> None:
    plain = [{k: v for k, v in row.items() if k != "pred_box"} for row in ROWS]
    assert set(scoring.per_row(plain)) == {"top1"}
    assert "top1/class/one" in scoring.intervals(plain, CLASSES, resamples=50)


def test_no_rows_and_json() -> None:
    assert scoring.intervals([], CLASSES, resamples=10) == {}
    written = scoring.to_json(scoring.intervals(ROWS, CLASSES, resamples=50))
    assert set(json.loads(json.dumps(written))["top1_loc_50"]) == {"mean", "low", "high", "n"}
