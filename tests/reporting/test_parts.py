"""Labels, settings, threshold curves and drawn boxes."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgloc.evaluation import scoring
from imgloc.evaluation.metrics import sequence
from imgloc.evaluation.statistics import Interval
from imgloc.reporting import curves, tables
from imgloc.reporting.explanations import explanation_table
from imgloc.reporting.gallery import gallery, gallery_example
from imgloc.reporting.load import load_run, unique_labels
from imgloc.reporting.page import write_report
from imgloc.tasks import localize, read_sequence

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


def test_threshold_curves_agree_with_metrics(make_run: MakeRun) -> None:
    report = load_run(str(make_run("a")), "a", "test")
    means = scoring.means(report.model.rows)
    shares = [curves.share_reaching(curve.values(report.model.rows)) for curve in report.task.curves]
    assert [curve.title for curve in report.task.curves] == ["Correct box", "Correct box and class"]
    for share, family in zip(shares, ("gt_known_loc", "top1_loc"), strict=True):
        assert np.all(np.diff(share) <= 0)
        assert share.shape == (101,)
        for threshold in (30, 50, 70):
            assert share[threshold] == pytest.approx(means[f"{family}_{threshold}"], abs=1e-12)
    assert shares[0][0] == 1
    assert shares[1][0] == pytest.approx(means["top1"])


def test_a_sequence_card_is_correct_where_sequence_accuracy_is_1(make_run: MakeRun) -> None:
    report = dataclasses.replace(load_run(str(make_run("a")), "a", "test"), task=read_sequence.TASK)
    left, right = [0.1, 0.1, 0.3, 0.3], [0.5, 0.1, 0.9, 0.9]
    row = {"id": "a", "label": 0, "top_labels": [0], "top_scores": [0.9], "boxes": [right, left], "labels": [1, 0]}
    first, second = report.classes[:2]
    cases = [
        ({**row, "pred_labels": [0, 1, 1]}, f"{first} {second}"),
        ({**row, "pred_labels": [1, 0]}, f"{second} {first}"),
        ({**row, "pred_labels": [0]}, first),
        ({**row, "pred_labels": [0, 2], "boxes": [left], "labels": [0]}, first),
    ]  # fmt: skip
    for case, predicted in cases:
        card = gallery_example(report, case, Path("none")).card
        assert card.predicted == predicted
        assert card.correct == (sequence.per_row([case])["sequence_accuracy"][0] == 1)
    empty = gallery_example(report, {**row, "pred_labels": [0, 1], "boxes": [], "labels": []}, Path("none")).card
    assert (empty.true, empty.predicted, empty.correct) == (first, first, True)


def test_gallery_draws_the_boxes_of_the_rows(make_run: MakeRun) -> None:
    report = load_run(str(make_run("a")), "a", "test")
    by_id = {row["id"]: row for row in report.model.rows}
    examples = gallery(report)
    assert {name: len(shown) for name, shown in examples.items()} == {"best": 6, "median": 6, "worst": 6}
    for example in examples["worst"]:
        row = by_id[example.id]
        for box, expected in zip(example.boxes, [row["boxes"][0], row["pred_box"]], strict=True):
            assert [box.x, box.y, box.x + box.width, box.y + box.height] == pytest.approx(expected, abs=1e-4)
        assert [box.kind for box in example.boxes] == ["true", "predicted"]
        assert example.picture is not None
        assert example.small
    best, worst = (next(note for note in examples[name][0].card.notes if note.startswith("IoU")) for name in ("best", "worst"))
    assert float(best.split()[1]) > float(worst.split()[1])


def test_broken_picture_gives_a_placeholder(make_run: MakeRun) -> None:
    report = load_run(str(make_run("a")), "a", "test")
    example = gallery(report)["best"][0]
    report.run.thumbnail("test", example.id).write_bytes(b"no picture")
    assert gallery(report)["best"][0].picture is None


def test_scores_of_explanations_are_a_table_of_the_same_split_and_step(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run("a")
    interval = {"mean": 0.75, "low": 0.5, "high": 0.9, "n": 40}
    saved = {"step": 2500, "target": "", "layer": "", "methods": {"grad_cam": {"pointing": interval}, "noise": {"pointing": interval}}}
    assert explanation_table(load_run(str(path), "a", "test")) is None
    for content in ({"test": {**saved, "step": 2000}}, {"validation": saved}, {"test": {"step": 2500}}, []):
        (path / "explanations.json").write_text(json.dumps(content))
        assert explanation_table(load_run(str(path), "a", "test")) is None
    (path / "explanations.json").write_text(json.dumps({"test": saved}))
    table = explanation_table(load_run(str(path), "a", "test"))
    assert table is not None
    assert [(name, [cell.mean for cell in cells if cell]) for name, cells in table.rows] == [("grad_cam", ["75.0"]), ("noise", ["75.0"])]
    page = write_report([str(path)], tmp_path / "page.html").read_text()
    assert 'id="explanations"' in page
    assert "Metrics of explanation methods" in page
    assert page.count("Pointing game") == 1


def test_a_saved_score_map_is_shown_over_its_image(make_run: MakeRun, tmp_path: Path) -> None:
    report = load_run(str(make_run("a")), "a", "test")
    first, second = gallery(report)["best"][:2]
    levels = np.zeros((16, 16), np.uint8)
    levels[:, 8:] = 255
    for example in (first, second):
        path = report.run.score_map("test", example.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels).save(path)
    path.write_bytes(path.read_bytes()[:8] + bytes(40))  # damaged
    shown, damaged = gallery(report)["best"][:2]
    assert (first.heat_map, damaged.heat_map) == (None, None)
    assert shown.picture == first.picture
    assert shown.heat_map is not None
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.heat_map.partition(",")[2]))), np.int64)
    assert pixels.shape == (192, 192, 3), "the image of 64 pixels is enlarged"
    left, right = pixels[:, :80].mean(axis=(0, 1)), pixels[:, 112:].mean(axis=(0, 1))
    assert left[2] > left[0], "low values are blue"
    assert right[0] > left[0] + 50, "high values are yellow"
    assert right[1] > left[1] + 50
    page = write_report([str(report.run.path)], tmp_path / "page.html").read_text()
    assert page.count(f"{shown.id}: score map of the predicted class") == 1
    assert "Beside an image is the score map" in page
    assert shown.heat_map in page


def test_long_and_damaged_metrics_logs(make_run: MakeRun) -> None:
    path = make_run("a", n=20, samples=5)
    lines = [{"step": i, "kind": "train", "loss": 1.0 / i, "lr": None, "note": "text", "on": True} for i in range(1, 5000)]
    (path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 5')
    charts, others = curves.training_charts([load_run(str(path), "a", "test")])
    assert [chart.key for chart in charts] == ["loss"]
    assert others == []
    assert len(charts[0].svg) < 60_000
    assert "(log scale)" in charts[0].title


def test_metrics_are_read_in_order() -> None:
    names = ["zeta", "top1_loc_50", "gt_known_loc_70", "gt_known_loc_30", "mean_iou", "top1", "top1/class/3"]
    ordered = scoring.in_order(names, localize.TASK)
    assert ordered == ["top1", "mean_iou", "gt_known_loc_30", "gt_known_loc_70", "top1_loc_50", "zeta"]


def test_an_interval_outside_of_0_to_1_has_no_track() -> None:
    assert tables.cell(scoring.metric_of("top1"), None) is None
    outside = tables.cell(scoring.metric_of("depth_error"), Interval(mean=3.0, low=2.0, high=4.0, n=5))
    assert outside is not None
    assert outside.left is None
    assert outside.range == "[2.000, 4.000]"
