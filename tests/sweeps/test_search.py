"""Searches: with artificial results, what is trained and stopped, and that a restart gives the same; with `-m slow`, real training."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgloc import files
from imgloc.config import schema as configs
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import search as searching
from imgloc.sweeps import spaces
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point
from imgloc.sweeps.spaces import Search
from tests.refusals import assert_refused

RECIPE = "tests/sweeps/recipe.py"  # 200 steps with a validation after 100; `ARGUMENTS`: after each 10 of 270
ARGUMENTS = ("--config.train.steps=270", "--config.train.eval_every=10")
SPACE: spaces.Space = {"optim.lr": spaces.log_uniform(1e-4, 1.0), "optim.schedule": ("cosine", "constant")}


class Killed(Exception):
    pass


@pytest.fixture
def optuna() -> None:
    pytest.importorskip("optuna", reason="the package optuna is not installed")


def value_at(config: Any, step: int) -> float:
    """A made-up result on validation: best at a learning rate of 0.01, and better with more steps."""
    return float(0.9 - 0.1 * abs(np.log10(config.optim.lr) + 2) - 0.05 * (config.optim.schedule == "cosine")) * (1 - 1 / (2 + step / 30))


def trainer(sweep: SweepDir, *, kill_at: int = 10**9, fails: Callable[[Point], bool] = lambda point: False) -> Any:
    """A `train` that writes what training would, and the list of (point, steps before, steps after) of its calls."""
    calls: list[tuple[str, int, int]] = []

    def train(point: Point, step: int) -> str:
        if len(calls) == kill_at:
            raise Killed
        if fails(point):
            return "the loss is nan"
        run, last = RunDir(sweep.path / point.name), step or point.config.train.steps
        files.write_json(run.provenance, {"config": point.identity})
        files.write_json(run.config, configs.to_json(point.config))
        before = max((int(path.name) for path in run.checkpoints.glob("*")), default=0)
        every = range(10, last + 1, 10)
        lines = [json.dumps({"step": s, "kind": "validation", "top1_loc_50": value_at(point.config, s)}) for s in every]
        files.write_text(run.metrics, "\n".join(lines) + "\n")
        (run.checkpoints / str(last)).mkdir(parents=True)
        if last == point.config.train.steps:
            files.write_json(run.finished, {"last_step": last, "best_step": last})
        calls.append((point.name, before, last))
        return ""

    train.calls = calls  # type: ignore[attr-defined]
    return train


def run(search: Search, folder: Path, train: Any = None, **options: Any) -> dict[str, Any]:
    sweep = SweepDir(folder)
    summary = searching.run_search(search, RECIPE, sweep, ARGUMENTS, train or trainer(sweep, **options), lambda line: None)
    assert summary is not None
    return summary


@pytest.mark.parametrize(("sampler", "pruner"), [("tpe", "none"), ("random", "halving"), ("sobol", "hyperband"), ("tpe", "hyperband")])
def test_a_search_that_is_killed_and_restarted_is_the_undisturbed_one(optuna: None, tmp_path: Path, sampler: Any, pruner: Any) -> None:
    search = Search(SPACE, 12, sampler=sampler, pruner=pruner, first_rung=10)
    expected = run(search, tmp_path / "whole")
    for kill_at in (3, 4, 2):
        with pytest.raises(Killed):
            run(search, tmp_path / "killed", kill_at=kill_at)
    assert run(search, tmp_path / "killed") == expected
    assert (tmp_path / "killed" / "search.json").read_bytes() == (tmp_path / "whole" / "search.json").read_bytes()
    again = trainer(SweepDir(tmp_path / "whole"))
    assert run(search, tmp_path / "whole", again) == expected
    assert again.calls == [], "nothing is trained twice"
    states = [point["state"] for point in expected["points"]]
    assert ("pruned" in states) == (pruner != "none")
    assert "finished" in states


def test_tpe_looks_where_results_are_good(optuna: None, tmp_path: Path) -> None:
    points = run(Search(SPACE, 30), tmp_path / "tpe")["points"]
    off = [abs(np.log10(point["overrides"]["optim.lr"]) + 2) for point in points]
    assert np.mean(off[-12:]) < 0.6 * np.mean(off[:10])


def test_halving_resumes_points_from_rung_to_rung_and_stops_the_worse_ones(optuna: None, tmp_path: Path) -> None:
    folder = tmp_path / "halving"
    train = trainer(SweepDir(folder))
    points = run(Search(SPACE, 20, sampler="random", pruner="halving", first_rung=10), folder, train)["points"]
    for name in {name for name, _, _ in train.calls}:
        own = [(before, after) for other, before, after in train.calls if other == name]
        assert own == [(0, 10), (10, 30), (30, 90), (90, 270)][: len(own)]
    stopped = {point["name"]: point.get("steps", 270) for point in points}
    good = {point["name"]: -abs(np.log10(point["overrides"]["optim.lr"]) + 2) for point in points}
    assert np.mean([good[name] for name in good if stopped[name] == 270]) > np.mean([good[name] for name in good if stopped[name] == 10])
    assert sum(after - before for _, before, after in train.calls) < 0.6 * 20 * 270


def test_failed_points_are_listed_and_more_points_continue_the_search(optuna: None, tmp_path: Path) -> None:
    first = run(Search(SPACE, 6), tmp_path / "search", fails=lambda point: point.config.optim.lr > 0.1)
    assert {point["state"] for point in first["points"]} == {"failed", "finished"}
    more = run(Search(SPACE, 9), tmp_path / "search", fails=lambda point: point.config.optim.lr > 0.1)
    assert more["points"][:6] == first["points"]


def test_what_a_search_cannot_do_is_refused(optuna: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(Search(SPACE, 2), tmp_path / "search")
    assert_refused(lambda: run(Search(SPACE, 2, seed=1), tmp_path / "search"), "is of another search")
    assert_refused(lambda: run(Search({"train.steps": spaces.integers(1, 9)}, 2), tmp_path / "b"), "'train.steps' cannot be searched")
    (tmp_path / "search" / "search.json").write_text("{")
    assert_refused(lambda: run(Search(SPACE, 2), tmp_path / "search"), "is damaged")
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert_refused(lambda: run(Search(SPACE, 2), tmp_path / "c"), "pip install 'imgloc[search]'")


def test_the_metric_and_the_first_point_are_checked_before_training(optuna: None) -> None:
    assert searching.check(Search(SPACE, 2, metric="top1"), RECIPE, ARGUMENTS).config.train.best_metric == "top1_loc_50"
    metric, field = Search(SPACE, 2, metric="map50"), Search(SPACE, 2, fixed={"losses.giou.output": "b"})
    assert_refused(lambda: searching.check(metric, RECIPE, ARGUMENTS), "first point of search()", "'map50'", "top1_loc_50")
    assert_refused(lambda: searching.check(field, RECIPE, ARGUMENTS), "first point of search()", "giou")


def test_a_recipe_declares_its_search(tmp_path: Path) -> None:
    assert searching.read_search(RECIPE) is None
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def get_config(): ...\ndef search():\n    return 3\n")
    assert_refused(lambda: searching.read_search(str(wrong)), "must return a Search", "got int")
    wrong.write_text("def get_config(): ...\ndef search():\n    return 1 / 0\n")
    assert_refused(lambda: searching.read_search(str(wrong)), "search() of", "ZeroDivisionError")


@pytest.mark.slow
def test_a_killed_search_ends_with_the_bytes_of_an_undisturbed_one(optuna: None, tmp_path: Path) -> None:
    (tmp_path / "recipe.py").write_text(
        "from imgloc.sweeps.spaces import Search, log_uniform\nfrom tests.sweeps.recipe import get_config\n"
        "def search():\n"
        "    return Search({'optim.lr': log_uniform(1e-4, 1.0)}, 4, pruner='halving', first_rung=20,\n"
        "                  fixed={'train.steps': 60, 'train.eval_every': 20})\n"
    )
    command = [sys.executable, "-m", "imgloc", "sweep", "--config", str(tmp_path / "recipe.py"), "--workdir"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])}
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=environment)
    for seconds in (12, 20):
        process = subprocess.Popen([*command, str(tmp_path / "killed")], env=environment)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(3)  # the training process ends with its parent
    subprocess.run([*command, str(tmp_path / "killed")], check=True, env=environment)
    for name in ("sweep.json", "search.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert {point["state"] for point in json.loads((tmp_path / "whole" / "sweep.json").read_text())["points"]} == {"finished", "pruned"}
