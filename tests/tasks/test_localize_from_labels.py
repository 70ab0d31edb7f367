"""Localization from labels: boxes of planted score maps, the threshold that validation chooses, and a trained run that keeps it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import imgloc
from imgloc import boxes
from imgloc.evaluation import scoring
from imgloc.inference.predict import task_rows
from imgloc.inference.score_maps import heat_map_predictor
from imgloc.runs.prediction_table import read_rows
from imgloc.runs.run_dir import RunDir
from imgloc.score_maps.at_thresholds import THRESHOLDS
from imgloc.score_maps.levels import SIDE, box_above
from imgloc.tasks import localize_from_labels
from imgloc.types import Batch
from tests import processes
from tests.refusals import assert_refused
from tests.run_fixtures import made_once
from tests.truths import truths_of

TASK = localize_from_labels.TASK
WHOLE = [0.0, 0.0, 1.0, 1.0]
LARGE, SMALL = [28, 56, 140, 168], [56, 84, 84, 112]  # in pixels of a map; the IoU of both is 1/16


def planted_map(value: float, large: list[int] = LARGE) -> np.ndarray:
    """A map with a value in a large rectangle, and 1 in a small one within it."""
    score_map = np.zeros((SIDE, SIDE), np.float32)
    for level, (x0, y0, x1, y1) in ((value, large), (1.0, SMALL)):
        score_map[y0:y1, x0:x1] = level
    return score_map


def planted(truths: list[list[int]], value: float = 0.5, content: Any = WHOLE) -> tuple[dict[str, Any], Batch]:
    """Images of class 1, which the map of class 1 shows, with the classes 1 and 0 predicted in turns."""
    count = len(truths)
    maps = np.stack([np.stack([planted_map(0.9, [0, 0, 224, 20]), planted_map(value)], axis=-1)] * count)
    logits = np.tile(np.array([0.0, 2.0], np.float32), (count, 1))
    logits[1::2, 1] = -2
    boxes = (np.array(truths, np.float32) / SIDE).reshape(count, 1, 4)
    batch = Batch(
        np.zeros((count, 8, 8, 1), np.uint8), boxes, np.ones((count, 1), np.int32), np.ones((count, 1), bool),
        np.ones(count, np.int32), np.ones(count, bool), np.tile(np.float32(content), (count, 1)),
    )  # fmt: skip
    return {"logits": logits, "score_maps": maps}, batch


def rows_of(outputs: dict[str, Any], batch: Batch) -> list[dict[str, Any]]:
    return [{"id": str(i), "group": str(i), **row} for i, row in enumerate(task_rows(TASK, outputs, batch, truths_of(batch)))]


def test_the_box_is_that_of_the_predicted_class_and_with_a_known_class_that_of_the_true_one() -> None:
    right, wrong = rows_of(*planted([LARGE, LARGE]))
    assert (right["top_labels"][0], wrong["top_labels"][0]) == (1, 0)
    large = (np.array(LARGE) / SIDE).tolist()
    assert right["map_threshold"] == 0.2
    assert right["pred_box"] == right["gt_known_box"] == wrong["gt_known_box"] == pytest.approx(large, abs=1e-5)
    assert wrong["pred_box"] != wrong["gt_known_box"]
    means = scoring.means([right, wrong], TASK.metrics)
    assert means["gt_known_loc_50"] == 1.0, "the box of the true class counts, whatever class is predicted"
    assert means["top1_loc_50"] == 0.5
    assert means["mean_iou"] == pytest.approx(0.5, abs=0.02), "a user sees the box of the predicted class"


@pytest.mark.parametrize(("truth", "chosen"), [(LARGE, 0.0), (SMALL, 0.5)])
def test_validation_chooses_the_threshold_whose_boxes_are_right(truth: list[int], chosen: float) -> None:
    rows = rows_of(*planted([truth] * 4))
    calibration = TASK.calibrate(rows)
    assert calibration == {"map_threshold": chosen}
    calibrated = [TASK.with_calibration(row, calibration) for row in rows]
    assert scoring.means(calibrated, TASK.metrics)["gt_known_loc_70"] == 1.0
    worse = [TASK.with_calibration(row, {"map_threshold": 0.5 - chosen}) for row in rows]
    assert scoring.means(worse, TASK.metrics)["gt_known_loc_30"] == 0.0


def test_the_majority_decides_and_answers_that_are_not_finite_are_wrong() -> None:
    rows = rows_of(*planted([LARGE, SMALL, SMALL, LARGE, LARGE]))
    assert TASK.calibrate(rows) == {"map_threshold": 0.0}
    failed = [{**row, "finite": i not in (0, 3)} for i, row in enumerate(rows)]
    assert TASK.calibrate(failed) == {"map_threshold": 0.5}
    boxless = [{**row, "boxes": [], "labels": []} for row in rows]
    assert TASK.calibrate(boxless) == TASK.calibrate([]) == {"map_threshold": 0.2}


def test_boxes_of_a_letterboxed_input_are_mapped_back_to_the_image() -> None:
    content = [0.0, 0.25, 1.0, 0.75]
    (row,) = rows_of(*planted([LARGE], content=content))
    expected = [LARGE[0] / SIDE, 0.0, LARGE[2] / SIDE, (LARGE[3] / SIDE - 0.25) / 0.5]
    assert row["pred_box"] == pytest.approx(expected, abs=1e-5)


def test_a_predictor_without_maps_has_its_box_at_every_threshold() -> None:
    outputs, batch = planted([LARGE, LARGE])
    del outputs["score_maps"]
    outputs["box"] = np.tile(np.float32([0.1, 0.2, 0.3, 0.4]), (2, 1))
    for row in rows_of(outputs, batch):
        for threshold in THRESHOLDS:
            again = TASK.with_calibration(row, {"map_threshold": threshold})
            assert again["pred_box"] == again["gt_known_box"] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert localize_from_labels.gt_known_ious(rows_of(outputs, batch)).shape == (2, len(THRESHOLDS))


SMALL_RUN = (
    "--config=configs/digits_from_labels.py", "--config.data.options.per_digit=3", "--config.model.backbone.stem=(8,8)",
    "--config.model.backbone.middle=8", "--config.model.backbone.deep=16", "--config.model.head.channels=16",
    "--config.train.batch_size=16", "--config.train.steps=60", "--config.train.eval_every=30", "--config.train.save_every=30",
    "--config.optim.warmup_steps=5", "--config.optim.ema=0.0", "--config.eval.bootstrap_samples=50", "--config.eval.gallery=2",
    "--config.model.head.name=acol", "--config.losses.second.weight=1.0",
    "--config.data.batch_transforms=('hide_and_seek',)",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    def make(workdir: Path) -> None:
        processes.run("train", *SMALL_RUN, "--workdir", str(workdir), cache=cache)
        for split in ("validation", "test"):
            processes.run("evaluate", str(workdir), "--split", split, cache=cache)

    return made_once(tmp_path_factory, "from_labels", make)


def test_the_threshold_of_validation_is_kept_with_the_model_and_used_on_test(run: Path) -> None:
    threshold = json.loads((run / "model" / "bundle.json").read_text())["calibration"]["map_threshold"]
    validation, test = (read_rows(RunDir(run).rows(split), expected={}) for split in ("validation", "test"))
    assert TASK.calibrate(validation) == {"map_threshold": threshold}
    assert {row["map_threshold"] for row in [*validation, *test]} == {threshold}
    index = THRESHOLDS.index(threshold)
    assert all(row["pred_box"] == row["threshold_boxes"][index] for row in test)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(record["loss/second"] > 0 for record in records if record["kind"] == "train")


def test_scores_stand_beside_fixed_boxes_and_the_oracle_is_not_below(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    boxes = ("/center_box", "/median_box", "/whole_image")
    assert set(results) == {f"{split}{name}" for split in ("test", "validation") for name in ("", *boxes)}
    for scores in results.values():
        for iou in (30, 50, 70):
            assert scores[f"oracle_gt_known_loc_{iou}"]["mean"] >= scores[f"gt_known_loc_{iou}"]["mean"]
            assert scores[f"gt_known_loc_{iou}"]["mean"] >= scores[f"top1_loc_{iou}"]["mean"]


def test_the_model_predicts_boxes_of_images(run: Path) -> None:
    trained = imgloc.load(run)
    (prediction,) = trained.predict(np.random.default_rng(0).integers(0, 256, (64, 96), dtype=np.uint8))
    x0, y0, x1, y1 = prediction.answer.box
    assert 0 <= x0 <= x1 <= 96
    assert 0 <= y0 <= y1 <= 64
    assert prediction.row["pred_box"] in prediction.row["threshold_boxes"]
    assert "gt_known_box" not in prediction.row


def test_the_score_maps_of_the_gallery_are_kept_and_their_boxes_are_those_of_the_rows(run: Path) -> None:
    folder = RunDir(run)
    rows = {row["id"]: row for row in read_rows(folder.rows("test"), expected={})}
    thumbnails = {path.name for path in folder.thumbnails("test").iterdir()}
    assert {path.name for path in folder.score_maps("test").iterdir()} == thumbnails
    shown = [row for picked in scoring.gallery_rows(list(rows.values()), TASK, 2).values() for row in picked]
    assert shown
    for row in shown:
        levels = np.asarray(Image.open(folder.score_map("test", row["id"])).convert("L"))
        assert levels.shape == np.asarray(Image.open(folder.thumbnail("test", row["id"]))).shape[:2]
        found = box_above(levels, int(row["map_threshold"] * 255))
        assert localize_iou(found, row["pred_box"]) > 0.6
    page = imgloc.report(run, run / "page.html").read_text()
    assert page.count("score map of the predicted class") >= len(thumbnails)


def localize_iou(first: Any, second: Any) -> float:
    return float(boxes.iou(np.asarray(first)[None], np.asarray(second)[None])[0])


def test_locate_writes_images_under_their_score_maps(run: Path, tmp_path: Path, cache: Path, tiny_run: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 80, 3), np.uint8)).save(tmp_path / "a.png")
    done = processes.run("locate", str(run), str(tmp_path / "a.png"), "--heat-maps", str(tmp_path / "maps"), cache=cache)
    line = json.loads(done.stdout)
    assert line["heat_map"] == str(tmp_path / "maps" / "a.png")
    assert Image.open(line["heat_map"]).size == (80, 50)
    assert_refused(lambda: heat_map_predictor(imgloc.load(tiny_run)), "--heat-maps requires a task with score maps", "imgloc explain")
