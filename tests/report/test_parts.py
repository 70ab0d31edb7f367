"""Labels, settings, success curves and drawn boxes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imgloc.evaluation import scoring
from imgloc.evaluation.metrics import sequence
from imgloc.evaluation.statistics import Interval
from imgloc.report import curves, tables, terms
from imgloc.report.gallery import card as card_of
from imgloc.report.gallery import gallery
from imgloc.report.load import load_run, unique_labels

MakeRun = Callable[..., Path]


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["/r/a", "/r/b"], ["a", "b"]),
        (["/x/run", "/y/run", "/y/other"], ["x/run", "y/run", "other"]),
        (["/x/1/run", "/y/1/run"], ["x/1/run", "y/1/run"]),
        (["/r/a/", "/r/./a"], ["a", "a (2)"]),
    ],
)
def test_labels_are_unique(paths: list[str], labels: list[str]) -> None:
    found = unique_labels(paths)
    assert len(set(found)) == len(found)
    assert found == labels


def test_settings_put_differences_first() -> None:
    found = tables.settings([{"a": 1, "s": {"x": [1, 2], "y": True}}, {"a": 1, "s": {"x": [1, 3]}, "list": [{"k": "v"}], "e": {}}])
    assert [(s.key, s.differs) for s in found] == [("s.x", True), ("s.y", True), ("list.0.k", True), ("e", True), ("a", False)]
    assert found[1].values == ["true", "\u2014"]


def test_success_curve_agrees_with_metrics(make_run: MakeRun) -> None:
    report = load_run(str(make_run("a")), "a", "test")
    means = scoring.means(report.model.rows)
    for with_class, family in ((False, "gt_known"), (True, "top1_loc")):
        share = curves.success(report, "model", with_class=with_class)
        assert np.all(np.diff(share) <= 0)
        assert share.shape == (101,)
        for threshold in (30, 50, 70):
            assert share[threshold] == pytest.approx(means[f"{family}_{threshold}"], abs=1e-12)
    assert curves.success(report, "model", with_class=False)[0] == 1
    assert curves.success(report, "model", with_class=True)[0] == pytest.approx(means["top1"])


def test_a_card_of_a_row_that_reads_is_right_where_its_metric_says_so(make_run: MakeRun) -> None:
    report = load_run(str(make_run("a")), "a", "test")
    left, right = [0.1, 0.1, 0.3, 0.3], [0.5, 0.1, 0.9, 0.9]
    row = {"id": "a", "label": 0, "top_labels": [0], "boxes": [right, left], "labels": [1, 0]}
    first, second = report.classes[:2]
    cases = [
        ({**row, "read": [0, 1, 1]}, f"{first} {second}"), ({**row, "read": [1, 0]}, f"{second} {first}"), ({**row, "read": [0]}, first),
        ({**row, "read": [0, 2], "boxes": [left], "labels": [0]}, first),
    ]  # fmt: skip
    for case, predicted in cases:
        made = card_of(report, case, Path("none"))
        assert made.predicted == predicted
        assert made.right == (sequence.per_row([case])["sequence_right"][0] == 1)
    nothing = card_of(report, {**row, "read": [0, 1], "boxes": [], "labels": []}, Path("none"))
    assert (nothing.true, nothing.predicted, nothing.right) == (first, first, True)


def test_gallery_draws_the_boxes_of_the_rows(make_run: MakeRun) -> None:
    report = load_run(str(make_run("a")), "a", "test")
    by_id = {row["id"]: row for row in report.model.rows}
    found = gallery(report, "test")
    assert {name: len(cards) for name, cards in found.items()} == {"best": 6, "median": 6, "worst": 6}
    for card in found["worst"]:
        row = by_id[card.id]
        for box, wanted in zip(card.boxes, [row["boxes"][0], row["pred_box"]], strict=True):
            assert [box.x, box.y, box.x + box.width, box.y + box.height] == pytest.approx(wanted, abs=1e-4)
        assert [box.kind for box in card.boxes] == ["true", "predicted"]
        assert card.picture is not None
        assert card.small
    assert float(found["best"][0].iou or 0) > float(found["worst"][0].iou or 0)


def test_broken_picture_gives_a_placeholder(make_run: MakeRun) -> None:
    report = load_run(str(make_run("a")), "a", "test")
    card = gallery(report, "test")["best"][0]
    report.run.thumbnail("test", card.id).write_bytes(b"no picture")
    assert gallery(report, "test")["best"][0].picture is None


def test_long_and_broken_journals(make_run: MakeRun) -> None:
    path = make_run("a", n=20, resamples=5)
    lines = [{"step": i, "kind": "train", "loss": 1.0 / i, "lr": None, "note": "text", "on": True} for i in range(1, 5000)]
    (path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 5')
    charts, others = curves.training_charts([load_run(str(path), "a", "test")])
    assert [chart.key for chart in charts] == ["loss"]
    assert others == []
    assert len(charts[0].svg) < 60_000
    assert "(log scale)" in charts[0].title


def test_metrics_are_read_in_order() -> None:
    names = ["zeta", "top1_loc_50", "gt_known_70", "gt_known_30", "mean_iou", "top1", "top1/class/3"]
    assert terms.in_order(names) == ["top1", "mean_iou", "gt_known_30", "gt_known_70", "top1_loc_50", "zeta"]
    assert terms.cell("top1", None) is None
    outside = terms.cell("depth_error", Interval(mean=3.0, low=2.0, high=4.0, n=5))
    assert outside is not None
    assert outside.left is None
    assert outside.range == "[2.000, 4.000]"


def test_percentages_have_the_digits_that_the_commands_show() -> None:
    for value in (0.0, 0.0005, 0.1135, 0.9925, 0.9995, 1.0):
        assert float(terms.number("top1", value)) == round(float(f"{value:.3f}") * 100, 1), value
    assert terms.number("top1", 0.9925) == "99.3"  # 100 * .9925 is a tie, .9925 is not
    assert terms.number("mean_iou", 0.9925) == "0.993"
