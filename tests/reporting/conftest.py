"""A run folder with artificial rows and curves: no training, no JAX."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from imgloc import files
from imgloc.boxes import to_pixels
from imgloc.config import schema as configs
from imgloc.config.registry import declared
from imgloc.evaluation import scoring
from imgloc.interfaces import Task
from imgloc.runs import prediction_table
from imgloc.runs.provenance import begin_session, make_provenance, update_session
from imgloc.runs.recorded_data import write_data
from imgloc.runs.run_dir import RunDir

MakeRun = Callable[..., Path]
Generator = np.random.Generator


def _row(truth: Generator, model: Generator, i: int, *, classes: int, wrong: float, spread: float, boxes: bool) -> dict[str, Any]:
    label = int(truth.integers(classes))
    guess = int((label + model.integers(1, 4)) % classes) if model.random() < wrong else label
    others = [k for k in range(classes) if k != guess][:4]
    row: dict[str, Any] = {"id": f"test-{i:05d}", "group": f"digit-{i // 2:04d}", "split": "test", "label": label}
    low = truth.uniform(0, 0.5, 2)
    box = np.concatenate([low, low + truth.uniform(0.15, 0.5, 2)])
    row |= {"boxes": [box.tolist()] if boxes else [], "labels": [label] if boxes else []}
    row |= {"top_labels": [guess, *others], "top_scores": [0.9 - 0.4 * (guess != label), 0.05, 0.03, 0.01, 0.01][: 1 + len(others)]}
    if boxes:
        row["pred_box"] = np.clip(box + model.normal(0, spread, 4), 0, 1).tolist()
    return row


def _baseline(rows: list[dict[str, Any]], box: list[float], boxes: bool) -> list[dict[str, Any]]:
    return [{**row, "top_labels": [1], "top_scores": [0.11], **({"pred_box": box} if boxes else {})} for row in rows]


def _thumbnail(path: Path, row: dict[str, Any]) -> None:
    generator = np.random.default_rng(row["label"])
    picture = Image.fromarray(generator.integers(0, 40, (64, 64, 3), np.uint8))
    if row["boxes"]:
        x0, y0, x1, y1 = to_pixels(np.asarray(row["boxes"][0]), 64, 64)
        ImageDraw.Draw(picture).ellipse((x0, y0, x1 - 1, y1 - 1), outline=(235, 235, 235), width=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def _metrics_log(seed: int, steps: int, boxes: bool) -> str:
    generator = np.random.default_rng(seed)
    records: list[dict[str, Any]] = []
    for step in range(50, steps + 1, 50):
        giou, entropy = np.exp(-step / (400 + 20 * seed)) + 0.1 + generator.normal(0, 0.01), 2.3 * np.exp(-step / (300 + 20 * seed)) + 0.05
        lr = 5e-3 * min(1, step / 200) * (1 - step / (steps + 1))
        records.append({"step": step, "kind": "train", "loss": giou + entropy, "loss/giou": giou, "loss/cross_entropy": entropy, "lr": lr})
        if step % 500 == 0:
            top1 = 0.96 - 0.8 * np.exp(-step / (300 + 20 * seed))
            records.append(
                {
                    "step": step,
                    "kind": "validation",
                    "top1": top1,
                    **({"mean_iou": 0.9 * top1, "top1_loc_50": 0.97 * top1} if boxes else {}),
                }
            )
    records.append({"step": steps, "kind": "train", "loss": None, "loss/giou": 0.1})
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """`make_run("a/run", ...)`: the path of a finished, evaluated run folder."""

    def make(
        name: str, *, seed: int = 0, n: int = 120, classes: tuple[str, ...] = tuple("0123456789"), wrong: float = 0.08,
        spread: float = 0.03, boxes: bool = True, lr: float = 1e-3, thumbnails: bool = True, samples: int = 50, gallery: int = 6,
        data: str = "0011aabb",
    ) -> Path:  # fmt: skip
        run = RunDir(tmp_path / name)
        config = configs.base()
        config.model.name, config.optim.lr, config.eval.bootstrap_samples, config.eval.gallery = "second_look", lr, samples, gallery
        config.task, config.seed = "localize" if boxes else "classify", seed
        generator, model = np.random.default_rng(7), np.random.default_rng(100 + seed)
        truth = [_row(generator, model, i, classes=len(classes), wrong=wrong, spread=spread, boxes=boxes) for i in range(n)]
        meta = {"config": configs.fingerprint(config), "checkpoint": "best", "step": 2500, "data": data, "split": "test"}
        files.write_json(run.config, configs.to_json(config))
        write_data(run, classes, 1, {row["group"] + "x" for row in truth}, np.zeros(0, np.uint64))
        files.write_json(run.finished, {"last_step": 3000, "best_step": 2500})
        layout = {"data": 1, "fsdp": 1, "processes": 1}
        origin = make_provenance({"train": "aa", "validation": "0011aabb"}, ["cpu:0"], layout, configs.fingerprint(config), {})
        files.write_json(run.provenance, {**origin, "commit": "0123456789abcdef0123456789abcdef01234567", "dirty": True})
        begin_session(run, 0, ["cpu:0"], layout)
        update_session(run, 3000, 142.5)
        files.write_text(run.metrics, _metrics_log(seed, 3000, boxes))
        prediction_table.write_rows(run.rows("test"), truth, meta)
        baselines = {"whole_image": [0.0, 0.0, 1.0, 1.0], "median_box": [0.25, 0.25, 0.7, 0.7]} if boxes else {"majority_class": []}
        for baseline, box in baselines.items():
            prediction_table.write_rows(run.rows("test", baseline), _baseline(truth, box, boxes), meta)
        if thumbnails:
            for chosen in scoring.gallery_rows(truth, declared("tasks", config.task, Task), gallery).values():
                for row in chosen:
                    _thumbnail(run.thumbnail("test", str(row["id"])), row)
        return run.path

    return make
