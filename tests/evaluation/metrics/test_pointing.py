"""Fixations against geometry by shapely."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import shapely

from imgloc.evaluation import scoring
from imgloc.evaluation.metrics import pointing
from imgloc.tasks import classify

NAMES = ["pointing_accuracy", "last_fixation_iou", "fixation_accuracy"]


def random_rows(n: int) -> list[dict[str, Any]]:
    """Up to three true boxes; five windows, some of them beyond the image."""
    rng = np.random.default_rng(4)
    low_nx3x2, low_nx5x2 = rng.uniform(0, 0.5, (n, 3, 2)), rng.uniform(-0.3, 0.6, (n, 5, 2))
    boxes_nx3x4 = np.concatenate([low_nx3x2, low_nx3x2 + rng.uniform(0.2, 0.5, (n, 3, 2))], axis=-1)
    fixations_nx5x4 = np.concatenate([low_nx5x2, low_nx5x2 + rng.uniform(0.1, 0.6, (n, 5, 1))], axis=-1)
    labels = rng.integers(3, size=n).tolist()
    return [
        {"id": f"{i:03d}", "group": f"g{i}", "label": labels[i], "top_labels": [0, 1], "boxes": boxes_nx3x4[i, : i % 4].tolist(),
         "fixations": fixations_nx5x4[i].tolist()}
        for i in range(n)
    ]  # fmt: skip


def test_looks_are_measured_as_geometry_has_it() -> None:
    rows = random_rows(300)
    found = pointing.per_row(rows)
    assert list(found) == NAMES
    for i, row in enumerate(rows):
        if not row["boxes"]:
            assert all(math.isnan(found[name][i]) for name in NAMES)
            continue
        truth, fixations = ([shapely.box(*edges) for edges in row[column]] for column in ("boxes", "fixations"))
        hits = [any(box.covers(fixation.centroid) for box in truth) for fixation in fixations]
        overlap = max(box.intersection(fixations[-1]).area / box.union(fixations[-1]).area for box in truth)
        assert found["pointing_accuracy"][i] == hits[-1]
        assert found["fixation_accuracy"][i] == pytest.approx(sum(hits) / 5)
        assert found["last_fixation_iou"][i] == pytest.approx(overlap, abs=1e-12)
    for name in NAMES:
        assert np.nanmin(found[name]) == 0, name
        assert np.nanmax(found[name]) > 0.6, name


def test_an_edge_is_inside_and_only_the_centre_counts() -> None:
    row = {"boxes": [[0.25, 0.25, 0.5, 0.5]], "fixations": [[0.3, 0.3, 0.8, 0.8], [0.0, 0.0, 0.5, 0.5]]}
    found = {name: values.tolist() for name, values in pointing.per_row([row]).items()}
    assert found == {"pointing_accuracy": [1.0], "last_fixation_iou": [0.25], "fixation_accuracy": [0.5]}
    beside = pointing.per_row([{**row, "fixations": [[0.0, 0.0, 0.5, 0.49]]}])
    assert beside["pointing_accuracy"].tolist() == [0.0]
    assert beside["last_fixation_iou"][0] > 0.2
    assert all(np.isnan(values).all() for values in pointing.per_row([{**row, "fixations": []}]).values())


def test_they_are_scored_where_rows_have_windows_and_images_have_boxes() -> None:
    rows = random_rows(60)
    means = scoring.means(rows)
    assert set(means) == {"top1", *NAMES}
    known = [value for value in pointing.per_row(rows)["pointing_accuracy"].tolist() if not math.isnan(value)]
    assert means["pointing_accuracy"] == pytest.approx(sum(known) / len(known))
    intervals = scoring.intervals(rows, ("a", "b", "c"), classify.TASK, samples=50)
    assert intervals["pointing_accuracy"].n == len(known) == 45
    assert {"fixation_accuracy/class/a", "last_fixation_iou/size/medium"} <= set(intervals)
    without = [{key: value for key, value in row.items() if key != "fixations"} for row in rows]
    assert set(scoring.means(without)) == {"top1"}, "as the baselines'"
    assert set(scoring.intervals([{**row, "boxes": []} for row in rows], ("a", "b", "c"), classify.TASK, samples=50)) & set(NAMES) == set()


def test_each_has_a_title_and_a_meaning_of_its_own() -> None:
    assert scoring.in_order(["fixation_accuracy", "last_fixation_iou", "zeta", "pointing_accuracy", "top1"], classify.TASK) == [
        "top1",
        *NAMES,
        "zeta",
    ]
    metrics = [scoring.metric_of(name) for name in NAMES]
    assert [metric.unit for metric in metrics] == ["share", "IoU", "share"]
    assert not {metric.title for metric in metrics} & set(NAMES)
    assert len({metric.meaning for metric in metrics}) == 3
