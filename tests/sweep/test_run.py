"""Running a sweep: sharing, failing, stopping, and the same bits however often it was killed."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from imgloc.cli import main
from imgloc.cli import sweep as cli
from imgloc.errors import UserError
from imgloc.runs.run_dir import RunDir
from imgloc.sweep import folder, run
from imgloc.sweep.folder import SweepDir
from imgloc.sweep.points import Point
from imgloc.training.preemption import StopRequest
from tests import processes

RECIPE = "tests/sweep/recipe.py"
Pretend = Callable[..., None]


class Stop(StopRequest):
    """A request that no signal makes."""

    def __init__(self) -> None:
        self.requested = self.interrupted = False


@dataclass
class Fake:
    """Stands for the processes of a sweep: leaves what they leave, at once; `broken` names the points whose training fails."""

    sweep: SweepDir
    points: Sequence[Point]
    pretend: Pretend
    broken: set[str] = field(default_factory=set)
    commands: list[str] = field(default_factory=list)
    told: list[tuple[str, str, str]] = field(default_factory=list)
    during: Callable[[str], None] = lambda command: None

    def run_process(self, arguments: Sequence[str], log: Path, lock: int, stop: StopRequest, tick: Any = None) -> str:
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
        self.told.append((point.name, state, note))


@pytest.fixture
def fake(tmp_path: Path, some: list[Point], pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake(SweepDir(tmp_path / "sweep"), some, pretend)
    monkeypatch.setattr(run, "run_process", made.run_process)
    monkeypatch.setattr(run, "POLL", 0.01)
    return made


def run_all(fake: Fake, stop: StopRequest | None = None) -> dict[str, str]:
    return run.run_points(run.Plan(fake.sweep, RECIPE, "test"), fake.points, stop or Stop(), fake.show)


def test_each_point_is_trained_and_scored_in_turn_and_then_skipped(fake: Fake) -> None:
    assert run_all(fake) == {}
    expected = [f"{command} {point.name}" for point in fake.points for command in ("train", "evaluate")]
    assert fake.commands == expected
    assert run_all(fake) == {}
    assert fake.commands == expected
    assert {state for _, state, _ in fake.told} == {"training", "scoring", "finished"}


def test_one_that_fails_is_told_and_the_others_go_on_and_it_is_tried_again(fake: Fake) -> None:
    name = fake.points[1].name
    fake.broken.add(name)
    assert run_all(fake) == {name: "out of memory"}
    assert (name, "failed", "out of memory") in fake.told
    assert [point.name for point in folder.unscored(fake.sweep, fake.points, "test")] == [name]
    fake.broken.clear()
    fake.commands.clear()
    assert run_all(fake) == {}
    assert fake.commands == [f"train {name}", f"evaluate {name}"]


def test_a_training_that_ends_early_has_failed(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "pretend", lambda *_, **__: None)
    assert set(run_all(fake).values()) == {"ended before its last step, its state is saved"}


def test_a_folder_that_is_spoilt_meanwhile_fails_alone(fake: Fake) -> None:
    def spoil(command: str) -> None:
        if command == f"evaluate {fake.points[0].name}":
            (fake.sweep.path / fake.points[1].name).mkdir()
            (fake.sweep.path / fake.points[1].name / "thesis.tex").write_text("dear")

    fake.during = spoil
    failed = run_all(fake)
    assert list(failed) == [fake.points[1].name]
    assert "holds other files" in failed[fake.points[1].name]


def test_what_another_sweep_holds_is_left_to_it_and_waited_for(fake: Fake) -> None:
    """The other sweep finishes one of its two points and dies over the second, which is taken over."""
    folder.begin(fake.sweep)
    theirs = [contextlib.ExitStack(), contextlib.ExitStack()]
    for stack, point in zip(theirs, fake.points, strict=False):
        assert stack.enter_context(folder.claimed(fake.sweep.lock(point))) is not None
    waited: list[str] = []

    def show(point: Point, state: str, note: str) -> None:
        fake.show(point, state, note)
        waited.append(state)
        if waited.count("elsewhere") == 6:
            fake.pretend(RunDir(fake.sweep.path / fake.points[0].name), fake.points[0], top1=0.75)
            for stack in theirs:
                stack.close()

    assert run.run_points(run.Plan(fake.sweep, RECIPE, "test"), fake.points, Stop(), show) == {}
    names = [fake.points[i].name for i in (2, 3, 1)]
    assert fake.commands == [f"{command} {name}" for name in names for command in ("train", "evaluate")]


def test_what_failed_in_another_sweep_meanwhile_is_not_tried_twice(fake: Fake) -> None:
    last = fake.points[3]

    def fail_elsewhere(command: str) -> None:
        if command == f"evaluate {fake.points[0].name}":
            folder.note_failure(fake.sweep, last, "out of disk")

    fake.during = fail_elsewhere
    assert run_all(fake) == {last.name: "out of disk"}
    assert f"train {last.name}" not in fake.commands


@pytest.mark.parametrize("when", ["train", "evaluate"])
def test_a_request_to_stop_ends_the_sweep_and_is_no_failure(when: str, fake: Fake) -> None:
    stop = Stop()

    def ask(command: str) -> None:
        stop.requested = command.startswith(f"{when} {fake.points[1].name}")

    fake.during = ask
    assert run_all(fake, stop) == {}
    assert fake.commands[-1] == f"{when} {fake.points[1].name}"
    assert fake.told[-1][:2] == (fake.points[3].name, "waiting")
    assert not list(fake.sweep.notes.glob("*.failed"))


def test_a_recipe_that_changes_meanwhile_stops_the_sweep(fake: Fake, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.py"
    recipe.write_text(Path(RECIPE).read_text())

    def edit(command: str) -> None:
        recipe.write_text(recipe.read_text().replace("steps = 200", "steps = 300"))

    fake.during = edit
    with pytest.raises(UserError, match="has changed since this sweep began"):
        run.run_points(run.Plan(fake.sweep, str(recipe), "test"), fake.points, Stop(), fake.show)
    assert fake.commands == [f"{command} {fake.points[0].name}" for command in ("train", "evaluate")]


@pytest.mark.parametrize(
    ("printed", "code", "expected"),
    [
        ("from step 0\nimgloc train: loss is nan at step 5\n\n", 1, "loss is nan at step 5"),
        ("from step 0\n", -9, "ended by SIGKILL"),
        ("", 3, "ended with exit code 3"),
        ("Traceback (most recent call last):\n  File x\nRuntimeError: out of memory\nOf the GPU.\n", 1, "RuntimeError: out of memory"),
        ("Traceback (most recent call last):\n  x\nA: b\n\nTraceback (most recent call last):\n  y\nC: d\n---\nfor\n", 1, "C: d"),
        ("Traceback (most recent call last):\n  File x\n", 1, "  File x"),
    ],
)
def test_the_line_that_says_why_a_process_failed(printed: str, code: int, expected: str) -> None:
    assert run.error_line(printed, code) == expected


def test_the_command_lists_what_failed_and_ends_with_1(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.py"
    overrides = [dict(point.overrides) for point in fake.points]
    recipe.write_text(f"from tests.sweep.recipe import get_config\ndef sweep(): return {overrides!r}\n")
    monkeypatch.setattr(cli, "check_in_a_process", lambda parsed, rest: 0)
    monkeypatch.setattr("imgloc.training.preemption.StopRequest", Stop)
    fake.broken.add(fake.points[1].name)
    assert main.main(["sweep", str(recipe), "--workdir", str(fake.sweep.path)]) == 1
    out = capsys.readouterr().out
    assert "3 of 4 points" in " ".join(out.split())
    log = fake.sweep.log(fake.points[1])
    assert f"failed: lr=0.1,seed=1: out of memory   log: {log}" in out.splitlines()
    fake.broken.clear()
    assert main.main(["sweep", str(recipe), "--workdir", str(fake.sweep.path)]) == 0


def test_a_process_that_fails_leaves_its_line_and_its_log(tmp_path: Path) -> None:
    with folder.claimed(tmp_path / "lock") as lock:
        assert lock is not None
        command = ["train", "--config", "configs/none.py", "--workdir", str(tmp_path / "run")]
        error = run.run_process(command, tmp_path / "log", lock, Stop())
    assert error.startswith("no config file 'configs/none.py'")
    log = (tmp_path / "log").read_text()
    assert log.startswith("$ imgloc train --config configs/none.py")
    assert error in log


# Real processes from here on.


def sweep_process(workdir: Path, cache: Path, *arguments: str, recipe: str = RECIPE) -> Any:
    return processes.start("sweep", recipe, "--workdir", str(workdir), *arguments, cache=cache)


def ended(workdir: Path, cache: Path, *arguments: str, recipe: str = RECIPE, code: int = 0) -> Any:
    return processes.run("sweep", recipe, "--workdir", str(workdir), *arguments, cache=cache, code=code)


def wait_for(condition: Callable[[], bool], process: Any = None, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def left_behind(workdir: Path) -> list[str]:
    """Command lines of processes that were started by a sweep in this folder and still run."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"IMGLOC_TEST={workdir}".encode() in environment.read_bytes():
                found.append((environment.parent / "cmdline").read_text())
    return found


def kept(workdir: Path) -> dict[str, bytes]:
    """What must not depend on interruptions: the results of every point, and their summary."""
    return {str(path.relative_to(workdir)): path.read_bytes() for path in [*workdir.glob("*/results.json"), workdir / "sweep.json"]}


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    workdir = tmp_path_factory.mktemp("sweeps") / "left alone"
    ended(workdir, cache)
    return workdir


def test_a_sweep_makes_runs_a_table_and_a_summary(left_alone: Path, cache: Path) -> None:
    names = {"lr=0.01,seed=0", "lr=0.01,seed=1"}
    assert {path.name for path in left_alone.iterdir()} == {*names, "sweep.json", ".sweep"}
    before = {path: path.stat().st_mtime_ns for path in left_alone.rglob("*") if path.parent.name in names}
    again = ended(left_alone, cache)
    assert again.stderr == ""
    assert "2 of 2 points" in again.stdout
    assert next(line for line in again.stdout.splitlines() if "optim.lr=0.01" in line).split()[1] == "2"
    assert {path: path.stat().st_mtime_ns for path in before} == before
    results = [json.loads((left_alone / name / "results.json").read_text()) for name in sorted(names)]
    assert results[0] != results[1]


def interrupted(workdir: Path, cache: Path, when: Callable[[], bool], number: int) -> tuple[int, str, str]:
    process = sweep_process(workdir, cache)
    wait_for(when, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_a_sweep_that_is_killed_and_stopped_goes_on_to_the_same_bits(left_alone: Path, tmp_path: Path, cache: Path) -> None:
    workdir = tmp_path / "sweep"
    first, second = workdir / "lr=0.01,seed=0", workdir / "lr=0.01,seed=1"
    code, _, _ = interrupted(workdir, cache, (first / "checkpoints" / "50").is_dir, signal.SIGKILL)
    assert code == -signal.SIGKILL
    wait_for(lambda: not left_behind(workdir), seconds=30)  # its training saves and ends
    assert not (workdir / "sweep.json").exists()
    code, out, err = interrupted(workdir, cache, (second / "config.json").is_file, signal.SIGTERM)
    assert (code, "Traceback" in err) == (0, False), err
    assert "stopped, its state is saved" in out
    assert not left_behind(workdir)
    assert not (second / "finished.json").exists()
    assert [path for path in (second / "checkpoints").iterdir() if path.name.isdigit()]
    ended(workdir, cache)
    assert kept(workdir) == kept(left_alone)
    assert [(workdir / ".sweep" / f"{run.name}.log").read_text().count("$ imgloc evaluate") for run in (first, second)] == [1, 1]


def test_a_bad_point_ends_a_sweep_before_it_writes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "bad.py"
    points = ({"seed": 1}, {"losses.giou.output": "b"})
    recipe.write_text(f"from tests.sweep.recipe import get_config\ndef sweep(): return {points!r}\n")
    assert main.main(["sweep", str(recipe), "--workdir", str(tmp_path / "sweep")]) == 2
    err = capfd.readouterr().err
    assert len(err.splitlines()) == 1, err
    assert "point 2 of sweep() (losses.giou.output=b)" in err
    assert not (tmp_path / "sweep").exists()


# What follows proves at length what the tests above hold.


@pytest.mark.slow
def test_ctrl_c_to_a_sweep_saves(tmp_path: Path, cache: Path) -> None:
    workdir = tmp_path / "sweep"
    code, out, err = interrupted(workdir, cache, (workdir / "lr=0.01,seed=0" / "config.json").is_file, signal.SIGINT)
    assert (code, "Traceback" in err) == (130, False), err
    assert "stopped, its state is saved" in out
    assert not left_behind(workdir)


@pytest.mark.slow
def test_two_sweeps_share_the_points(left_alone: Path, tmp_path: Path, cache: Path) -> None:
    workdir = tmp_path / "sweep"
    both = sweep_process(workdir, cache), sweep_process(workdir, cache)
    for process in both:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert "2 of 2 points" in out
    assert kept(workdir) == kept(left_alone)
    logs = [path.read_text() for path in (workdir / ".sweep").glob("*.log")]
    assert [log.count("$ imgloc") for log in logs] == [2, 2]


@pytest.mark.slow
def test_a_point_that_fails_is_listed_with_its_error_and_the_others_go_on(tmp_path: Path, cache: Path) -> None:
    recipe = tmp_path / "broken.py"
    points = ({"data.options.broken": True}, {"train.steps": 50})
    recipe.write_text(f"from tests.sweep.recipe import get_config\ndef sweep(): return {points!r}\n")
    done = ended(tmp_path / "sweep", cache, recipe=str(recipe), code=1)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("failed: "))
    assert line.startswith("failed: broken=true: ")
    assert "is unreadable" in line
    assert "is unreadable" in (tmp_path / "sweep" / ".sweep" / "broken=true.log").read_text()
    assert (tmp_path / "sweep" / "steps=50" / "results.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("chance", range(3))
def test_a_sweep_killed_at_three_random_moments_gives_the_same_bits(chance: int, left_alone: Path, tmp_path: Path, cache: Path) -> None:
    workdir = tmp_path / "sweep"
    dice = random.Random(chance)
    for _ in range(3):
        process = sweep_process(workdir, cache)
        time.sleep(dice.uniform(3, 20))
        process.kill()
        process.communicate()
    ended(workdir, cache)
    assert kept(workdir) == kept(left_alone)
    assert not left_behind(workdir)
