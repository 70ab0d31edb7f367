"""Running a sweep: sharing, failing, stopping, and the same results after it was killed."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from imgloc.api import sweeping
from imgloc.cli import main
from imgloc.errors import UserError
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import folder, run, work
from imgloc.sweeps.claims import Claims
from imgloc.sweeps.executor import Execution, Executor
from imgloc.sweeps.executors.processes import EXECUTOR as PROCESSES
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point
from imgloc.training.preemption import StopRequest
from tests import processes

RECIPE = "tests/sweeps/recipe.py"
Pretend = Callable[..., None]


class Stop(StopRequest):
    """A request to stop without a signal."""

    def __init__(self) -> None:
        self.requested = self.interrupted = False


@dataclass
class Fake:
    """Replaces the processes of a sweep and writes the files that they write; training fails for the points named in `broken`."""

    sweep: SweepDir
    points: Sequence[Point]
    pretend: Pretend
    broken: set[str] = field(default_factory=set)
    commands: list[str] = field(default_factory=list)
    shown: list[tuple[str, str, str]] = field(default_factory=list)
    during: Callable[[str], None] = lambda command: None

    def run_process(self, arguments: Sequence[str], log: Path, lock: int, stop: Any, environment: Any) -> str:
        path = Path(arguments[arguments.index("--workdir") + 1] if arguments[0] == "train" else arguments[1])
        self.commands.append(f"{arguments[0]} {path.name}")
        self.during(self.commands[-1])
        if path.name in self.broken:
            return "out of memory"
        point = next(point for point in self.points if point.name == path.name)
        if not stop.requested:
            self.pretend(RunDir(path), point, top1=0.5 if arguments[0] == "evaluate" else None)
        return ""

    def show(self, point: Point, state: str, note: str) -> None:
        self.shown.append((point.name, state, note))


@pytest.fixture
def fake(tmp_path: Path, some: list[Point], pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake(SweepDir(tmp_path / "sweep"), some, pretend)
    monkeypatch.setattr(work, "run_process", fake.run_process)
    monkeypatch.setattr(run, "POLL_SECONDS", 0.01)
    return fake


def run_all(fake: Fake, stop: StopRequest | None = None, *, recipe: str = RECIPE, show: Any = None, jobs: int = 0) -> dict[str, str]:
    return run.run_points(work.Plan(fake.sweep, recipe, "test"), fake.points, stop or Stop(), show or fake.show, Execution(PROCESSES, jobs))


def test_each_point_is_trained_and_scored_in_turn_and_then_skipped(fake: Fake) -> None:
    assert run_all(fake) == {}
    expected = [f"{command} {point.name}" for point in fake.points for command in ("train", "evaluate")]
    assert fake.commands == expected
    assert run_all(fake) == {}
    assert fake.commands == expected
    assert {"finished"} <= {state for _, state, _ in fake.shown} <= {"training", "scoring", "finished"}


def test_a_point_that_fails_does_not_stop_the_others_and_is_retried(fake: Fake) -> None:
    name = fake.points[1].name
    fake.broken.add(name)
    assert run_all(fake) == {name: "out of memory"}
    assert (name, "failed", "out of memory") in fake.shown
    assert [point.name for point in folder.unscored(fake.sweep, fake.points, "test")] == [name]
    fake.broken.clear()
    fake.commands.clear()
    assert run_all(fake) == {}
    assert fake.commands == [f"train {name}", f"evaluate {name}"]


def test_a_training_that_ends_early_has_failed(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "pretend", lambda *_, **__: None)
    assert set(run_all(fake).values()) == {"ended before its last step, its state is saved"}


def test_a_folder_that_changes_during_the_sweep_fails_alone(fake: Fake) -> None:
    def spoil(command: str) -> None:
        if command == f"evaluate {fake.points[0].name}":
            (fake.sweep.path / fake.points[1].name).mkdir()
            (fake.sweep.path / fake.points[1].name / "thesis.tex").write_text("dear")

    fake.during = spoil
    failed = run_all(fake)
    assert list(failed) == [fake.points[1].name]
    assert "contains other files" in failed[fake.points[1].name]


def test_points_of_another_sweep_are_waited_for_and_taken_over(fake: Fake) -> None:
    """The other sweep finishes one of its two points and ends before the second, which is taken over."""
    folder.begin(fake.sweep)
    other_locks = [contextlib.ExitStack(), contextlib.ExitStack()]
    for stack, point in zip(other_locks, fake.points, strict=False):
        assert stack.enter_context(Claims(fake.sweep.notes).hold(point.identity)) is not None
    states: list[str] = []

    def show(point: Point, state: str, note: str) -> None:
        fake.show(point, state, note)
        states.append(state)
        if states.count("elsewhere") == 6:
            fake.pretend(RunDir(fake.sweep.path / fake.points[0].name), fake.points[0], top1=0.75)
            for stack in other_locks:
                stack.close()

    assert run_all(fake, show=show) == {}
    names = [fake.points[i].name for i in (2, 3, 1)]
    assert fake.commands == [f"{command} {name}" for name in names for command in ("train", "evaluate")]


def test_a_point_that_failed_in_another_sweep_is_not_retried(fake: Fake) -> None:
    last = fake.points[3]

    def fail_elsewhere(command: str) -> None:
        if command == f"evaluate {fake.points[0].name}":
            folder.note_failure(fake.sweep, last, "out of disk")

    fake.during = fail_elsewhere
    assert run_all(fake) == {last.name: "out of disk"}
    assert f"train {last.name}" not in fake.commands


@pytest.mark.parametrize("when", ["train", "evaluate"])
def test_a_request_to_stop_ends_the_sweep_without_a_failure(when: str, fake: Fake) -> None:
    stop = Stop()

    def ask(command: str) -> None:
        stop.requested = command.startswith(f"{when} {fake.points[1].name}")

    fake.during = ask
    assert run_all(fake, stop) == {}
    assert fake.commands[-1] == f"{when} {fake.points[1].name}"
    assert fake.shown[-1] == (fake.points[1].name, "waiting", "stopped, its state is saved")
    assert {name for name, *_ in fake.shown} == {point.name for point in fake.points[:2]}
    assert not list(fake.sweep.notes.glob("*.failed"))


def test_a_recipe_that_changes_during_the_sweep_stops_it(fake: Fake, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.py"
    recipe.write_text(Path(RECIPE).read_text())

    def edit(command: str) -> None:
        recipe.write_text(recipe.read_text().replace("steps = 200", "steps = 300"))

    fake.during = edit
    with pytest.raises(UserError, match="has changed since this sweep began"):
        run_all(fake, recipe=str(recipe))
    assert fake.commands == [f"{command} {fake.points[0].name}" for command in ("train", "evaluate")]


def test_jobs_run_at_the_same_time(fake: Fake) -> None:
    """Each of the first two trainings waits for the other one."""
    both = threading.Barrier(2, timeout=20)
    fake.during = lambda command: both.wait() if command in [f"train {point.name}" for point in fake.points[:2]] else None
    assert run_all(fake, jobs=2) == {}
    assert sorted(fake.commands) == sorted(f"{command} {point.name}" for point in fake.points for command in ("train", "evaluate"))


class Job:
    """A job that has ended."""

    def ended(self) -> bool:
        return True

    def stop(self) -> None:
        pass

    def details(self) -> str:
        return "its node is gone"


def executor_of(work: Callable[[Sequence[Point]], None], **fields: Any) -> Executor:
    """An executor that does this with points as soon as they are submitted."""

    @contextlib.contextmanager
    def open_(session: Any) -> Any:
        def submit(points: Sequence[Point]) -> Job:
            work(points)
            return Job()

        yield submit

    return Executor("for tests", open_, **fields)


def run_with(fake: Fake, executor: Executor) -> dict[str, str]:
    return run.run_points(work.Plan(fake.sweep, RECIPE, "test"), fake.points, Stop(), fake.show, Execution(executor))


def test_points_that_jobs_leave_unfinished_are_submitted_again_while_their_checkpoints_advance(fake: Fake) -> None:
    """Jobs of the first point write a checkpoint each five times, then one finishes it; jobs of the second one end without any."""
    first, second, *others = fake.points
    submitted: list[str] = []

    def do(points: Sequence[Point]) -> None:
        (point,) = points
        submitted.append(point.name)
        run_dir = RunDir(fake.sweep.path / point.name)
        if point is first and submitted.count(point.name) <= 5:
            (run_dir.checkpoints / str(submitted.count(point.name))).mkdir(parents=True)
            fake.pretend(run_dir, point, trained=False)
        elif point is not second:
            fake.pretend(run_dir, point, top1=0.5)

    failed = run_with(fake, executor_of(do))
    assert list(failed) == [second.name]
    assert failed[second.name] == "its job ended 3 times without a result, an error or a new checkpoint: its node is gone"
    assert [submitted.count(point.name) for point in fake.points] == [6, 3, *(1 for _ in others)]


def test_an_executor_may_take_several_points_in_one_job(fake: Fake) -> None:
    taken: list[list[str]] = []

    def do(points: Sequence[Point]) -> None:
        taken.append([point.name for point in points])
        for point in points[:1] if len(taken) == 1 else points:
            fake.pretend(RunDir(fake.sweep.path / point.name), point, top1=0.5)

    pairs = executor_of(do, groups=lambda _, points: [points[k : k + 2] for k in range(0, len(points), 2)], jobs=1)
    assert run_with(fake, pairs) == {}
    names = [point.name for point in fake.points]
    assert taken == [names[:2], names[2:], names[1:2]]


def test_the_command_lists_failed_points_and_returns_1(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.py"
    overrides = [dict(point.overrides) for point in fake.points]
    recipe.write_text(f"from tests.sweeps.recipe import get_config\ndef sweep(): return {overrides!r}\n")
    monkeypatch.setattr(sweeping, "check_points", lambda *arguments: None)
    monkeypatch.setattr("imgloc.training.preemption.StopRequest", Stop)
    fake.broken.add(fake.points[1].name)
    assert main.main(["sweep", "--config", str(recipe), "--workdir", str(fake.sweep.path)]) == 1
    out = capsys.readouterr().out
    assert "3 of 4 points" in " ".join(out.split())
    log = fake.sweep.log(fake.points[1])
    assert f"failed: lr=0.1,seed=1: out of memory   log: {log}" in out.splitlines()
    fake.broken.clear()
    assert main.main(["sweep", "--config", str(recipe), "--workdir", str(fake.sweep.path)]) == 0


# The tests from here on start real processes.


def sweep_process(workdir: Path, cache: Path, *arguments: str, recipe: str = RECIPE) -> Any:
    return processes.start("sweep", "--config", recipe, "--workdir", str(workdir), *arguments, cache=cache)


def ended(workdir: Path, cache: Path, *arguments: str, recipe: str = RECIPE, code: int = 0) -> Any:
    return processes.run("sweep", "--config", recipe, "--workdir", str(workdir), *arguments, cache=cache, code=code)


def wait_for(condition: Callable[[], bool], process: Any = None, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def running_processes(workdir: Path) -> list[str]:
    """The command lines of running processes that a sweep in this folder has started."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"IMGLOC_TEST={workdir}".encode() in environment.read_bytes():
                found.append((environment.parent / "cmdline").read_text())
    return found


def results_of(workdir: Path) -> dict[str, bytes]:
    """The files that must not depend on interruptions: the results of every point, and their summary."""
    return {str(path.relative_to(workdir)): path.read_bytes() for path in [*workdir.glob("*/results.json"), workdir / "sweep.json"]}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    workdir = tmp_path_factory.mktemp("sweeps") / "uninterrupted"
    ended(workdir, cache)
    return workdir


def test_a_sweep_writes_runs_a_table_and_a_summary(uninterrupted: Path, cache: Path) -> None:
    names = {f"lr=0.01,seed={seed}" for seed in range(3)}
    assert {path.name for path in uninterrupted.iterdir()} == {*names, "sweep.json", ".sweep"}
    before = {path: path.stat().st_mtime_ns for path in uninterrupted.rglob("*") if path.parent.name in names}
    again = ended(uninterrupted, cache)
    assert again.stderr == ""
    assert "3 of 3 points" in again.stdout
    assert next(line for line in again.stdout.splitlines() if "optim.lr=0.01" in line).split()[1] == "3"
    assert {path: path.stat().st_mtime_ns for path in before} == before
    results = [json.loads((uninterrupted / name / "results.json").read_text()) for name in sorted(names)]
    assert results[0] != results[1]


def interrupted(workdir: Path, cache: Path, when: Callable[[], bool], number: int, *arguments: str) -> tuple[int, str, str]:
    process = sweep_process(workdir, cache, *arguments)
    wait_for(when, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_a_sweep_that_is_killed_and_stopped_resumes_to_the_same_results(uninterrupted: Path, tmp_path: Path, cache: Path) -> None:
    workdir = tmp_path / "sweep"
    first, second = workdir / "lr=0.01,seed=0", workdir / "lr=0.01,seed=1"
    code, _, _ = interrupted(workdir, cache, (first / "checkpoints" / "50").is_dir, signal.SIGKILL)
    assert code == -signal.SIGKILL
    wait_for(lambda: not running_processes(workdir), seconds=30)  # its training saves its state and ends
    assert not (workdir / "sweep.json").exists()
    code, out, err = interrupted(workdir, cache, (second / "config.json").is_file, signal.SIGTERM)
    assert (code, "Traceback" in err) == (0, False), err
    assert "stopped, its state is saved" in out
    assert not running_processes(workdir)
    assert not (second / "finished.json").exists()
    assert [path for path in (second / "checkpoints").iterdir() if path.name.isdigit()]
    ended(workdir, cache)
    assert results_of(workdir) == results_of(uninterrupted)
    assert [(workdir / ".sweep" / f"{run.name}.log").read_text().count("$ imgloc evaluate") for run in (first, second)] == [1, 1]


def test_a_sweep_killed_in_one_process_is_finished_by_two_jobs_with_the_same_results(
    uninterrupted: Path, tmp_path: Path, cache: Path
) -> None:
    """Its process, which trains the points itself, is killed in the middle of the second one."""
    workdir = tmp_path / "sweep"
    checkpoint = workdir / "lr=0.01,seed=1" / "checkpoints" / "50"
    code, _, _ = interrupted(workdir, cache, checkpoint.is_dir, signal.SIGKILL, "--executor", "in_process")
    assert code == -signal.SIGKILL
    assert not (workdir / "sweep.json").exists()
    watched = sweep_process(workdir, cache, "--watch")
    ended(workdir, cache, "--jobs", "2")
    assert results_of(workdir) == results_of(uninterrupted)
    out, err = watched.communicate(timeout=60)
    assert (watched.returncode, "3 of 3 points finished" in out) == (0, True), err
    assert "lr=0.01,seed=2  training" in err


def test_an_invalid_point_is_refused_before_the_sweep_writes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "bad.py"
    points = ({"seed": 1}, {"losses.giou.output": "b"})
    recipe.write_text(f"from tests.sweeps.recipe import get_config\ndef sweep(): return {points!r}\n")
    assert main.main(["sweep", "--config", str(recipe), "--workdir", str(tmp_path / "sweep")]) == 2
    err = capfd.readouterr().err
    assert len(err.splitlines()) == 1, err
    assert "point 2 of sweep() (losses.giou.output=b)" in err
    assert not (tmp_path / "sweep").exists()


# The tests from here on check the same properties at length.


@pytest.mark.slow
def test_ctrl_c_saves_the_state(tmp_path: Path, cache: Path) -> None:
    workdir = tmp_path / "sweep"
    code, out, err = interrupted(workdir, cache, (workdir / "lr=0.01,seed=0" / "config.json").is_file, signal.SIGINT)
    assert (code, "Traceback" in err) == (130, False), err
    assert "stopped, its state is saved" in out
    assert not running_processes(workdir)


@pytest.mark.slow
def test_two_sweeps_share_the_points(uninterrupted: Path, tmp_path: Path, cache: Path) -> None:
    workdir = tmp_path / "sweep"
    both = sweep_process(workdir, cache), sweep_process(workdir, cache)
    for process in both:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert "3 of 3 points" in out
    assert results_of(workdir) == results_of(uninterrupted)
    logs = [path.read_text() for path in (workdir / ".sweep").glob("*.log")]
    assert [log.count("$ imgloc") for log in logs] == [2, 2, 2]


@pytest.mark.slow
def test_a_point_that_fails_is_listed_with_its_error(tmp_path: Path, cache: Path) -> None:
    recipe = tmp_path / "broken.py"
    points = ({"data.options.broken": True}, {"train.steps": 50})
    recipe.write_text(f"from tests.sweeps.recipe import get_config\ndef sweep(): return {points!r}\n")
    done = ended(tmp_path / "sweep", cache, recipe=str(recipe), code=1)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("failed: "))
    assert line.startswith("failed: broken=true: ")
    assert "is unreadable" in line
    assert "is unreadable" in (tmp_path / "sweep" / ".sweep" / "broken=true.log").read_text()
    assert (tmp_path / "sweep" / "steps=50" / "results.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("chance", range(3))
def test_a_sweep_killed_at_three_random_times_gives_the_same_results(chance: int, uninterrupted: Path, tmp_path: Path, cache: Path) -> None:
    workdir = tmp_path / "sweep"
    dice = random.Random(chance)
    for _ in range(3):
        process = sweep_process(workdir, cache)
        time.sleep(dice.uniform(3, 20))
        process.kill()
        process.communicate()
    ended(workdir, cache)
    assert results_of(workdir) == results_of(uninterrupted)
    assert not running_processes(workdir)
