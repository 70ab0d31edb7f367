"""The task of a config, with metrics of the user's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.config.task import make_task
from imgloc.tasks import localize
from tests.refusals import assert_refused

ROOT = Path(__file__).parents[2]
METRIC = """
import numpy as np
from imgloc.interfaces import Metric, MetricFamily

METRICS = MetricFamily(
    columns=("pred_box",),
    metrics=(Metric("width_of_the_box", "Width of the predicted box", "the mean width", unit="IoU"),),
    per_row=lambda rows: {"width_of_the_box": np.array([row["pred_box"][2] - row["pred_box"][0] for row in rows])},
)
"""
SMALL = [
    "--config.data.options.per_digit=2", "--config.train.steps=2", "--config.train.eval_every=1", "--config.train.batch_size=4",
    "--config.eval.bootstrap_samples=20",
]  # fmt: skip


def imgloc(folder: Path, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """The command in a folder; `path` is where installed packages are found."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": f"{ROOT}:{path}", "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "imgloc", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("where", ["in the current folder", "in an installed package"])
def test_a_metric_of_ones_own_chooses_the_best_model_and_is_scored(tmp_path: Path, where: str) -> None:
    package = (tmp_path if where == "in the current folder" else tmp_path / "site") / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "width.py").write_text(METRIC)
    path = "" if where == "in the current folder" else str(tmp_path / "site")
    recipe, named = str(ROOT / "configs/digits_three_layer_cnn.py"), ["--config.eval.metrics=('mine.width',)"]
    best = "--config.train.best_metric=width_of_the_box"
    trained = imgloc(tmp_path, "train", "--config", recipe, "--workdir", "run", *SMALL, *named, best, path=path)
    assert trained.returncode == 0, trained.stderr
    records = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    widths = {record["step"]: record["width_of_the_box"] for record in records if record["kind"] == "validation"}
    assert json.loads((tmp_path / "run/finished.json").read_text())["best_step"] == max(widths, key=lambda step: (widths[step], step))

    refused = imgloc(tmp_path, "evaluate", "run", path=path)
    assert refused.returncode == 2, "the run folder is data"
    assert "would import the module 'mine.width'" in refused.stderr
    scored = imgloc(tmp_path, "evaluate", "run", "--allow-import", "mine.width", path=path)
    assert scored.returncode == 0, scored.stderr
    rows = [json.loads(line) for line in (tmp_path / "run/rows/test.jsonl").read_text().splitlines()]
    expected = sum(row["pred_box"][2] - row["pred_box"][0] for row in rows) / len(rows)
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["test"]["width_of_the_box"]["mean"] == pytest.approx(expected)
    reported = imgloc(tmp_path, "report", "run", "--allow-import", "mine.width", path=path)
    assert reported.returncode == 0, reported.stderr
    assert "Width of the predicted box" in (tmp_path / "run/report.html").read_text()


def test_a_task_without_metrics_of_ones_own_is_that_of_its_file() -> None:
    config = resolve(read_recipe("configs/digits_three_layer_cnn.py"))
    assert make_task(config) == localize.TASK


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("('classification',)", "all metrics of imgloc are computed anyway"),
        ("('no_package.metric',)", "cannot import metric 'no_package.metric'"),
        ("('json.decoder',)", "has no METRICS"),
        ("(1,)", "must be of type str"),
    ],
)
def test_mistakes_are_one_line(value: str, message: str) -> None:
    recipe = read_recipe("configs/digits_three_layer_cnn.py")
    assert_refused(lambda: resolve(recipe, [f"--config.eval.metrics={value}"]), message)
