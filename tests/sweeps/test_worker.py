"""The worker process that executors start on other machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import claims, folder, work, worker
from imgloc.sweeps.claims import Claims
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point
from imgloc.sweeps.work import Plan
from imgloc.training.preemption import StopRequest

RECIPE = "tests/sweeps/recipe.py"
Pretend = Callable[..., None]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    sweep = SweepDir(tmp_path / "sweep")
    return Plan(sweep, RECIPE, "test", folder.begin(sweep))


def test_an_order_is_json_with_absolute_paths(plan: Plan, some: list[Point]) -> None:
    given = json.loads(json.dumps(worker.order(plan, some[0])))
    assert Path(given["recipe"]).is_file()
    assert all(Path(given[key]).is_absolute() for key in ("workdir", "recipe", "folder"))
    assert worker.order(Plan(plan.sweep, "digits_cnn", "test"), some[0])["recipe"] == "digits_cnn"


def test_a_worker_trains_and_scores_the_point_of_its_order(
    plan: Plan, some: list[Point], pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []

    def run_process(arguments: Any, log: Path, lock: int, stop: Any, environment: Any) -> str:
        commands.append(" ".join(arguments))
        path = RunDir(Path(arguments[arguments.index("--workdir") + 1] if arguments[0] == "train" else arguments[1]))
        pretend(path, some[0], top1=0.5 if arguments[0] == "evaluate" else None)
        return ""

    monkeypatch.setattr(work, "run_process", run_process)
    worker.work(worker.order(plan, some[0]), StopRequest())
    assert folder.unscored(plan.sweep, some[:1], "test") == []
    assert [command.split()[0] for command in commands] == ["train", "evaluate"]
    assert "--config.optim.lr=0.1" in commands[0]
    worker.work(worker.order(plan, some[0]), StopRequest())
    assert len(commands) == 2


def test_a_worker_whose_recipe_has_changed_notes_an_error(plan: Plan, some: list[Point]) -> None:
    worker.work({**worker.order(plan, some[0]), "arguments": ["--config.optim.lr=7.0"]}, StopRequest())
    assert "has changed since this sweep began" in str(folder.failure_since(plan.sweep, some[0], plan.begun))
    worker.work({**worker.order(plan, some[1]), "arguments": ["--config.optim.none=7.0"]}, StopRequest())
    assert "optim.none" in str(folder.failure_since(plan.sweep, some[1], plan.begun))


def test_a_worker_leaves_a_point_that_another_process_holds(plan: Plan, some: list[Point], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "LEASE_SECONDS", 0.5)
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.1)
    with Claims(plan.sweep.notes).hold(some[0].identity):
        worker.work(worker.order(plan, some[0]), StopRequest())
    assert not list(plan.sweep.path.glob("*/config.json"))
    assert folder.failure_since(plan.sweep, some[0], 0) is None


def test_a_worker_that_is_stopped_ends(plan: Plan, some: list[Point]) -> None:
    """It waits for the claim of another process; closing its standard input ends it."""
    with Claims(plan.sweep.notes).hold(some[0].identity):
        process = worker.Worker(worker.order(plan, some[0]))
        process.stop()
        assert process._process.returncode == 0
