"""From rows to numbers: slices, intervals and names, against a count in plain Python."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgloc import interfaces
from imgloc.config.registry import declared
from imgloc.evaluation import scoring
from imgloc.evaluation.slicings import attributes, classes, object_counts, sizes
from imgloc.interfaces import Metric, Task
from imgloc.tasks import classify, localize
from tests.refusals import assert_refused

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


def slices(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Masks of every part of the slicings of localization."""
    return {
        f"{each.key}/{part}": mask for each in scoring.slicings(localize.TASK, rows[0]) for part, mask in each.parts(rows, CLASSES).items()
    }


def test_slices_by_class_and_size() -> None:
    found = slices(ROWS)
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
    assert set(slices([whole])) == {f"class/{CLASSES[whole['label']]}", "size/large"}


def values_of(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The values [n] of every metric that is a mean over rows, NaN where it does not apply."""
    sums = {key: value for key, value in scoring.statistics(rows).items() if scoring.metric_of(key).value is interfaces.mean}
    return {key: interfaces.mean(value) for key, value in sums.items()}


def test_means_are_counts() -> None:
    found = scoring.means(ROWS)
    assert found["top1"] == pytest.approx(sum(row["top_labels"][0] == row["label"] for row in ROWS) / len(ROWS))
    values = values_of(ROWS)
    assert found["mean_iou"] == pytest.approx(mean(values["mean_iou"].tolist()))
    assert found["top1_loc_50"] == pytest.approx(mean(values["top1_loc_50"].tolist()))
    nowhere = [{**row, "boxes": [], "labels": []} for row in ROWS]
    assert set(scoring.means(nowhere)) == {"top1", "calibration_error"}  # nothing that applies to no row


def test_intervals_of_the_whole_and_of_slices() -> None:
    found = scoring.intervals(ROWS, CLASSES, localize.TASK, samples=500)
    values = values_of(ROWS)
    for name, whole in scoring.means(ROWS).items():
        assert found[name].mean == pytest.approx(whole)
        assert found[name].low <= found[name].mean <= found[name].high
        assert found[name].low < found[name].high
    assert found["top1"].n == 240
    assert found["mean_iou"].n == 200
    for part, mask in slices(ROWS).items():
        inside = [v for v, m in zip(values["gt_known_loc_50"].tolist(), mask.tolist(), strict=True) if m]
        assert found[f"gt_known_loc_50/{part}"].mean == pytest.approx(mean(inside))
        assert found[f"gt_known_loc_50/{part}"].n == sum(not math.isnan(v) for v in inside)
    assert not any("never" in name for name in found)


def test_intervals_do_not_depend_on_the_order_of_rows_but_on_their_groups() -> None:
    found = scoring.intervals(ROWS, CLASSES, localize.TASK, samples=200)
    backwards = scoring.intervals(ROWS[::-1], CLASSES, localize.TASK, samples=200)
    assert {k: v.mean for k, v in backwards.items()} == pytest.approx({k: v.mean for k, v in found.items()})
    assert {k: v.low for k, v in backwards.items()} == pytest.approx({k: v.low for k, v in found.items()})
    alone = scoring.intervals([{**row, "group": row["id"]} for row in ROWS], CLASSES, localize.TASK, samples=200)
    assert alone["top1"].low != found["top1"].low


def test_rows_without_boxes_columns_get_the_metrics_that_apply() -> None:
    plain = [{k: v for k, v in row.items() if k != "pred_box"} for row in ROWS]
    assert set(values_of(plain)) == {"top1"}
    assert "top1/class/one" in scoring.intervals(plain, CLASSES, classify.TASK, samples=50)


def test_no_rows_and_json() -> None:
    assert scoring.intervals([], CLASSES, localize.TASK, samples=10) == {}
    written = scoring.as_json(scoring.intervals(ROWS, CLASSES, localize.TASK, samples=50))
    assert set(json.loads(json.dumps(written))["top1_loc_50"]) == {"mean", "low", "high", "n"}


def test_attributes_of_a_data_set_are_slices_and_classes_of_one_name_are_told_apart() -> None:
    rows = [{**row, "attributes": {"light": "day" if i % 3 else "night"}} if i % 4 else row for i, row in enumerate(ROWS)]
    masks = attributes.SLICING.parts(rows, CLASSES)
    assert list(masks) == ["light=day", "light=night"]
    assert masks["light=night"].tolist() == [i % 3 == 0 and i % 4 > 0 for i in range(len(rows))]
    found = scoring.intervals(rows, CLASSES, localize.TASK, samples=20)
    assert found["top1/attribute/light=night"].n == int(masks["light=night"].sum())
    assert set(classes.SLICING.parts(ROWS, ("a", "b", "a"))) == {"a #0", "b", "a #2"}
    assert set(sizes.SLICING.notes) == {"small", "medium", "large"}


def test_metrics_are_found_by_their_key_and_others_are_shown_as_they_are() -> None:
    assert scoring.metric_of("mean_iou/class/3").title == "Mean IoU"
    unknown = scoring.metric_of("zeta/size/small")
    assert (unknown.key, unknown.title, unknown.unit, unknown.sign) == ("zeta", "zeta", "", 1)
    assert scoring.metric_of("calibration_error").sign == -1
    assert [scoring.metric_of(key).text(0.12345) for key in ("top1", "mean_iou", "zeta")] == ["12.3", "0.123", "0.123"]


def test_a_table_begins_with_the_headlines_of_its_task() -> None:
    keys = ["zeta", "calibration_error", "top1_loc_50", "mean_iou", "top1", "gt_known_loc_30", "top1/class/a", "pointing_accuracy"]
    expected = ["top1", "mean_iou", "gt_known_loc_30", "top1_loc_50", "calibration_error", "pointing_accuracy", "zeta"]
    assert scoring.in_order(keys, localize.TASK) == expected
    reading = scoring.in_order(["top1", "label_accuracy", "sequence_accuracy"], declared("tasks", "read_sequence", Task))
    assert reading == ["sequence_accuracy", "label_accuracy", "top1"]


def test_a_share_is_written_in_per_cent_with_the_digits_that_commands_print() -> None:
    metric = Metric("m", "M", "")
    assert [metric.text(value) for value in (0.9925, 1.0, 0.0005, 0.0)] == ["99.3", "100.0", "0.1", "0.0"]


def test_the_gallery_picks_by_rank_and_the_first_of_equals() -> None:
    rows = [{"id": i, "label": 0, "top_labels": [0], "top_scores": [score]} for i, score in enumerate((0.5, 0.9, 0.9, 0.1, 0.7))]
    picked = scoring.gallery_rows(rows, classify.TASK, 2)
    assert {kind: [row["id"] for row in chosen] for kind, chosen in picked.items()} == {
        "best": [1, 2],
        "median": [4],
        "worst": [3, 0],
    }  # none is shown twice


def test_only_shares_and_ious_have_wilsons_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"id": str(i), "group": str(i), "label": 0, "top_labels": [0], "top_scores": [1.0]} for i in range(5)]
    assert scoring.intervals(rows, CLASSES, classify.TASK, samples=50)["top1"].low == pytest.approx(5 / (5 + 1.959963984540054**2))
    objects = dataclasses.replace(scoring.metric_of("top1"), unit="objects")
    monkeypatch.setattr(scoring, "metric_of", lambda key, modules=(): objects)
    assert scoring.intervals(rows, CLASSES, classify.TASK, samples=50)["top1"].low == 1


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("{'mine': np.ones(len(rows)), 'top1': np.zeros(len(rows))}", "'top1' is computed but not declared"),
        ("{'mine': np.ones(3)}", "must have an array of 1 dimensions and 2 rows"),
        ("{'mine': np.ones((len(rows), 1))}", "must have an array of 1 dimensions"),
        ("{'mine': np.full(len(rows), np.inf)}", "finite values from 0 to 1, got inf"),
        ("{'mine': np.full(len(rows), 7.0)}", "finite values from 0 to 1, got 7.0"),
        ("None", "metric 'mine' fails"),
        ("1 / 0", "metric 'mine' fails: ZeroDivisionError"),
    ],
)
def test_a_metric_of_ones_own_that_returns_anything_else_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, message: str
) -> None:
    name = f"metric_{abs(hash(function))}"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / f"{name}.py").write_text(
        "import numpy as np\nfrom imgloc.interfaces import Metric, MetricFamily\n"
        f"METRICS = MetricFamily(('label',), (Metric('mine', 'Mine', 'x'),), per_row=lambda rows: {function})\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own", raising=False)
    rows = [{"id": str(i), "group": "a", "label": 0, "top_labels": [0], "top_scores": [1.0]} for i in range(2)]
    assert_refused(lambda: scoring.means(rows, (f"own.{name}",)), message)
    assert_refused(lambda: scoring.check_columns({"id": 0}, (f"own.{name}",)), "reads the column 'label'", "possible: id")


def test_images_are_divided_by_their_number_of_objects() -> None:
    counts = [0, 1, 5, 6, 10, 11, 50, 51, 100, 101, 1000]
    parts = object_counts.parts([{"boxes": [[0, 0, 1, 1]] * count} for count in counts], [])
    found = {name: [counts[i] for i in np.flatnonzero(mask)] for name, mask in parts.items()}
    assert found == {
        "0": [0], "1": [1], "5": [5], "6 to 10": [6, 10], "11 to 20": [11], "21 to 50": [50], "51 to 100": [51, 100],
        "above 100": [101, 1000],
    }  # fmt: skip
