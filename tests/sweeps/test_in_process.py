"""Points in one process: the bits of `imgloc train`, one compilation, populations, and an error of each point of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imgloc.config.recipes import read_recipe
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import folder, points
from imgloc.sweeps.claims import Claims
from imgloc.sweeps.executor import Execution, Session, SweepStop
from imgloc.sweeps.executors import in_process
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point
from imgloc.sweeps.populations import runs_of, train_together
from imgloc.sweeps.progress import latest_step
from imgloc.sweeps.run import run_points
from imgloc.sweeps.work import ClaimedStop, Plan
from imgloc.training import loop, population, setup, start
from imgloc.training.metric_queue import NonFiniteError
from tests.training.test_population import assert_same_bits

RECIPE = "tests/sweeps/recipe.py"
GO_ON: Any = SimpleNamespace(requested=False)
SHORT = ("--config.train.steps=20", "--config.train.eval_every=10", "--config.train.log_every=5")


@dataclass(frozen=True)
class StopIf:
    """A request to stop as soon as a condition holds."""

    condition: Callable[[], bool]

    @property
    def requested(self) -> bool:
        return self.condition()


class Losing:
    """A claim that is lost when it was read some times."""

    def __init__(self, reads: int) -> None:
        self.left = reads

    @property
    def lost(self) -> bool:
        self.left -= 1
        return self.left < 0


def validated(run: RunDir) -> Callable[[], bool]:
    """Whether a run has reached its first validation, after 10 of 20 steps."""
    return lambda: run.metrics.is_file() and "validation" in run.metrics.read_text()


def expanded(*yielded: dict[str, Any]) -> list[Point]:
    return points.expand(read_recipe(RECIPE), yielded, SHORT)


def run(some: list[Point], path: Path, stop: Any = GO_ON, **options: int) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Run points in this process; returns the errors, and the states that were shown."""
    shown: list[tuple[str, str]] = []

    def show(point: Point, state: str, note: str) -> None:
        shown.append((point.name, state))

    texts = {key: str(value) for key, value in options.items()}
    return run_points(Plan(SweepDir(path), RECIPE, "test"), some, stop, show, Execution(in_process.EXECUTOR, options=texts)), shown


def layouts(path: Path, some: list[Point]) -> list[tuple[int | None, list[int]]]:
    """For each run, the size of its last population, and the steps from which it was trained."""
    sessions = [json.loads(RunDir(path / point.name).provenance.read_text())["sessions"] for point in some]
    return [(own[-1].get("layout", {}).get("population"), [each["from_step"] for each in own]) for own in sessions]


@pytest.fixture
def paying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population, "pays", lambda configs, opened: True)


def test_points_share_a_program_and_have_the_bits_of_their_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = expanded(
        {"seed": 0, "optim.lr": 0.01}, {"seed": 1, "optim.lr": 3e38}, {"seed": 1, "optim.lr": 0.02}, {"model.scale": 2.0},
        {"seed": 0, "optim.lr": 0.01, "eval.after_training": "test"},
    )  # fmt: skip
    shared = setup.Opened()
    with monkeypatch.context() as patch:
        patch.setattr(setup, "Opened", lambda: shared)
        errors, shown = run(some, tmp_path)
    assert errors.keys() == {some[1].name}
    assert "the first that is not finite" in errors[some[1].name]
    with pytest.raises(NonFiniteError) as caught:
        start.train(some[1].config, str(tmp_path / "alone" / some[1].name), stop=GO_ON, quiet=True)
    assert errors[some[1].name] == start.error_line(caught.value).replace(str(tmp_path / "alone"), str(tmp_path))
    assert "Traceback" not in SweepDir(tmp_path).log(some[1]).read_text()
    assert [name for name, state in shown if state == "training"] == [point.name for point in some]
    assert "test" in RunDir(tmp_path / some[4].name).known_results()
    sizes = sorted(each.train_step.func._cache_size() for each in shared.setups.values())
    assert sizes == [1] * len(sizes)
    for point in some[:1] + some[2:3]:
        start.train(point.config, str(tmp_path / "alone" / point.name), stop=GO_ON, quiet=True)
        assert_same_bits(tmp_path / point.name, tmp_path / "alone" / point.name)


def test_a_stop_saves_the_running_point_and_begins_no_other(tmp_path: Path) -> None:
    some = expanded({"seed": 0}, {"seed": 1})
    first = RunDir(tmp_path / some[0].name)
    errors, _ = run(some, tmp_path, StopIf(validated(first)))
    assert not errors
    assert latest_step(first) == 10
    assert not (tmp_path / some[1].name).exists()


def test_points_that_share_a_program_train_together_and_resume_as_they_were(
    tmp_path: Path, paying: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = expanded(*({"seed": seed} for seed in range(3)), {"seed": 0, "model.scale": 2.0})
    run(some, tmp_path / "parts", StopIf(validated(RunDir(tmp_path / "parts" / some[0].name))), population=2)
    assert not (tmp_path / "parts" / some[2].name).exists()
    run(some[:2], tmp_path / "whole", population=2)
    monkeypatch.setattr(population, "pays", lambda configs, opened: pytest.fail("the runs have begun, or are too few"))
    errors, _ = run(some, tmp_path / "parts", population=2)
    assert not errors
    assert all(RunDir(tmp_path / "parts" / point.name).finished.is_file() for point in some)
    assert layouts(tmp_path / "parts", some) == [(2, [0, 10]), (2, [0, 10]), (None, [0]), (None, [0])]
    for point in some[:2]:
        assert_same_bits(tmp_path / "parts" / point.name, tmp_path / "whole" / point.name)


@pytest.mark.parametrize("outcome", [False, RuntimeError("out of memory")])
def test_points_whose_trial_fails_or_is_slower_train_singly(outcome: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pays(configs: Any, opened: Any) -> bool:
        if isinstance(outcome, Exception):
            raise outcome
        return False

    monkeypatch.setattr(population, "pays", pays)
    some = expanded({"seed": 0}, {"seed": 1})
    errors, _ = run(some, tmp_path, population=2)
    assert not errors
    assert layouts(tmp_path, some) == [(None, [0]), (None, [0])]


def test_an_error_of_a_member_is_noted_and_the_others_finish(tmp_path: Path, paying: None, monkeypatch: pytest.MonkeyPatch) -> None:
    some, open_batches = expanded(*({"seed": seed} for seed in range(3))), loop.open_batches

    def broken(config: Any, *arguments: Any) -> Any:
        if config.seed == 1:
            raise KeyError("a column of the user's file")
        return open_batches(config, *arguments)

    monkeypatch.setattr(loop, "open_batches", broken)
    errors, _ = run(some, tmp_path, population=3)
    assert errors == {some[1].name: "KeyError: a column of the user's file"}
    assert "Traceback" in SweepDir(tmp_path).log(some[1]).read_text()
    assert [size for size, _ in layouts(tmp_path, some)] == [3, 3, 3]
    assert folder.unscored(SweepDir(tmp_path), some, "test") == [some[1]]


def test_a_member_that_another_process_holds_is_left_to_it(tmp_path: Path, paying: None) -> None:
    some, sweep = expanded(*({"seed": seed} for seed in range(3))), SweepDir(tmp_path)
    plan = Plan(sweep, RECIPE, "test", folder.begin(sweep))
    session = Session(plan, Claims(sweep.notes), SweepStop(GO_ON), 1, lambda *_: None, {"population": "3"})
    with in_process.open_(session) as submit, Claims(sweep.notes).hold(some[1].identity):
        assert submit(some).ended()
    assert layouts(tmp_path, [some[0], some[2]]) == [(2, [0]), (2, [0])]
    assert not (tmp_path / some[1].name).exists()
    assert folder.unscored(sweep, some, "test") == [some[1]]


def test_nothing_is_saved_after_a_claim_is_lost(tmp_path: Path, paying: None) -> None:
    """Not by the point, and not by the members of its population, which have not failed either."""
    some, sweep, opened = expanded(*({"seed": seed} for seed in range(3))), SweepDir(tmp_path), setup.Opened()
    plan = Plan(sweep, RECIPE, "test", folder.begin(sweep))
    alone, member = (ClaimedStop(GO_ON, Losing(reads)) for reads in (0, 1))  # type: ignore[arg-type]
    assert in_process.train_and_score(plan, some[0], alone, opened) == ""
    errors = train_together(some[1:], runs_of(sweep, some), in_process.ClaimedStops([member]), opened)
    assert {type(error) for error in errors.values()} == {in_process.ClaimLost}
    assert [latest_step(RunDir(tmp_path / point.name)) for point in some] == [-1, -1, -1]
