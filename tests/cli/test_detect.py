"""Detection by the commands: training chooses a score threshold, evaluation and report use it, and locate prints lists of objects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import imgloc
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.data.sources.scattered_digits import source
from imgloc.inference.load import with_score_threshold
from imgloc.runs.prediction_table import read_rows
from imgloc.runs.run_dir import RunDir
from imgloc.tasks import detect
from imgloc.training.setup import set_up
from imgloc.types import InputSpec
from tests import processes
from tests.inference.trained import trained_model
from tests.refusals import assert_refused
from tests.run_fixtures import made_once

SMALL = (
    "--config=configs/digits_detector.py", "--config.data.options.canvas=64", "--config.data.options.objects=(0,2)",
    "--config.data.options.per_digit=1", "--config.data.options.clutter=0", "--config.data.image_size=(64,64)",
    "--config.data.max_objects=2", "--config.model.backbone.stem=(8,16)", "--config.model.backbone.middle=16",
    "--config.model.backbone.deep=32", "--config.model.channels=16", "--config.model.head_layers=1", "--config.train.batch_size=16",
    "--config.train.steps=60", "--config.train.eval_every=30", "--config.train.save_every=20", "--config.train.log_every=10",
    "--config.optim.warmup_steps=5", "--config.optim.ema=0.0", "--config.eval.bootstrap_samples=50", "--config.eval.gallery=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    def make(workdir: Path) -> None:
        processes.run("train", *SMALL, "--workdir", str(workdir), cache=cache)
        processes.run("evaluate", str(workdir), "--split", "validation", "--export", "coco", cache=cache)

    return made_once(tmp_path_factory, "detector", make)


def test_the_threshold_is_chosen_on_validation_and_kept_with_the_model(run: Path) -> None:
    bundle = json.loads((run / "model" / "bundle.json").read_text())
    threshold = bundle["calibration"]["score_threshold"]
    rows = read_rows(RunDir(run).rows("validation"), expected={})
    assert {row["score_threshold"] for row in rows} == {threshold}
    assert detect.TASK.calibrate(rows) == {"score_threshold": threshold}
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    validations = {record["step"]: record for record in records if record["kind"] == "validation"}
    assert list(validations) == [30, 60]
    assert validations[bundle["step"]]["score_threshold"] == threshold


def test_scores_have_intervals_and_stand_beside_a_baseline(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    assert set(results) == {"validation", "validation/class_median_boxes"}
    for key in ("ap", "ap50", "ap75", "ar_100", "f1", "precision", "recall", "count_error", "voc_ap_area"):
        value = results["validation"][key]
        assert value["low"] <= value["mean"] <= value["high"], key
    exported = json.loads((run / "exports" / "validation" / "coco" / "results.json").read_text())
    rows = read_rows(RunDir(run).rows("validation"), expected={})
    assert len(exported) == sum(len(row["detected_boxes"]) for row in rows), "an export has all detections, whatever their score"


def test_locate_prints_the_objects_above_a_threshold(run: Path, tmp_path: Path, cache: Path) -> None:
    canvas = source("test", seed=0, canvas=64, objects=(2, 2))[0].image_hxwxc[..., 0]
    path = tmp_path / "canvas.png"
    Image.fromarray(canvas).resize((128, 96)).save(path)
    lines = {}
    for score in ("", "0.0", "1.0"):
        flags = ["--score", score] if score else []
        done = processes.run("locate", str(run), str(path), *flags, "--out", str(tmp_path / f"out{score}"), cache=cache)
        lines[score] = json.loads(done.stdout)
    chosen = json.loads((run / "model" / "bundle.json").read_text())["calibration"]["score_threshold"]
    assert lines[""]["score_threshold"] == chosen
    assert lines["0.0"]["objects"]
    assert lines["1.0"] == {"path": str(path), "objects": [], "score_threshold": 1.0}
    scores = [each["score"] for each in lines["0.0"]["objects"]]
    assert scores == sorted(scores, reverse=True)
    assert lines[""]["objects"] == [each for each in lines["0.0"]["objects"] if each["score"] >= round(chosen, 6)]
    for each in lines["0.0"]["objects"]:
        assert each["class"] in "0123456789"
        x0, y0, x1, y1 = each["box"]
        assert 0 <= x0 < x1 <= 128
        assert 0 <= y0 < y1 <= 96
    drawn = [np.asarray(Image.open(tmp_path / f"out{score}" / "canvas.png")) for score in ("0.0", "1.0")]
    assert not np.array_equal(*drawn)
    trained = imgloc.load(run)
    (prediction,) = trained.predict(path)
    assert prediction.answer.score_threshold == chosen
    assert len(prediction.row["detected_boxes"]) >= len(prediction.answer.objects)


def test_a_wrong_score_is_refused(run: Path, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (8, 8)).save(path)
    above = processes.run("locate", str(run), str(path), "--score", "1.5", cache=cache, code=2)
    assert "--score must be from 0 to 1, got 1.5" in above.stderr
    other = trained_model(None, InputSpec((8, 8, 1)), ("a",), variables={})
    expected = "--score requires a task with a score threshold, such as 'detect'; task 'localize' has none"
    assert_refused(lambda: with_score_threshold(other, 0.5), expected)


def test_settings_of_suppression_can_change_for_an_evaluation(run: Path, tmp_path: Path, cache: Path) -> None:
    flags = ["--split", "validation", "--name", "two", "--config.model.max_detections=2", "--config.model.soft_nms_sigma=0.5"]
    processes.run("evaluate", str(run), *flags, cache=cache)
    rows = read_rows(RunDir(run).rows("validation@two"), expected={})
    assert max(len(row["detected_boxes"]) for row in rows) == 2


def test_the_report_ranks_images_by_their_mistakes(run: Path, cache: Path) -> None:
    processes.run("report", str(run), "--split", "validation", cache=cache)
    page = (run / "report.html").read_text()
    for text in ("by the number of missed and false objects", " missed", " false", "AP50", "class median boxes"):
        assert text in page, text


def test_losses_of_dense_detection_refuse_other_models() -> None:
    config = resolve(read_recipe("configs/digits_detector.py"), [*SMALL[1:6], "--config.model.name=localizer"])
    assert_refused(lambda: set_up(config), "needs the output 'dense_logits'; model 'localizer' returns")
