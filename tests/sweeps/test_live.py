"""The live view of a sweep, while it runs and from another process."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from imgloc import files
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import folder, live
from imgloc.sweeps.claims import Claims
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point

Pretend = Callable[..., None]


def printed(*, terminal: bool = False) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=120), text


def rows_of(table: object, width: int = 160) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def write_metrics(run: RunDir, **accuracies: float) -> None:
    lines = [{"step": int(step[1:]), "kind": "validation", "top1_loc_50": value} for step, value in accuracies.items()]
    files.write_text(run.metrics, "".join(json.dumps(line) + "\n" for line in lines))


def test_changes_of_state_are_plain_lines_off_a_terminal(tmp_path: Path, some: list[Point]) -> None:
    console, text = printed()
    with live.Live(console, SweepDir(tmp_path), some, finished=2) as show:
        for state, note in (("training", ""), ("training", "step 5"), ("scoring", ""), ("finished", "")):
            show(some[0], state, note)
        show(some[1], "failed", "[bold] is no markup")
    lines = text.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0] == "2/6 finished  lr=0.1,seed=0  training"
    assert lines[2].startswith("3/6 finished  lr=0.1,seed=0  finished: after ")
    assert lines[3] == "3/6 finished  lr=0.1,seed=1  failed: [bold] is no markup"


def test_a_terminal_gets_a_table_that_stays_short(tmp_path: Path, some: list[Point]) -> None:
    console, text = printed(terminal=True)
    many = [Point(p.overrides, p.arguments, p.config, p.identity, f"{p.name},copy={i}", p.title) for p in some for i in range(50)]
    with live.Live(console, SweepDir(tmp_path), many, finished=7) as show:
        files.write_text(show._sweep.log(many[150]), "step 5/200" + 100 * " on")
        show(many[150], "training", "")
        show(many[151], "failed", "out of memory")
    shown = text.getvalue()
    assert f"{many[150].name}" in shown
    assert "training" in shown
    assert "step 5/200 on" in shown
    assert "out of memory" in shown
    assert "198 waiting" in shown
    assert "7 finished" in shown
    assert many[60].name not in shown


def test_the_table_shows_steps_the_best_value_and_the_time_left(
    tmp_path: Path, some: list[Point], pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a speed of 100 steps in 100 s, the 600 steps that are left of the 800 of four points take 10 minutes."""
    sweep, clock, console = SweepDir(tmp_path), [1000.0], printed()[0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    show = live.Live(console, sweep, some, finished=0)
    first, second = RunDir(tmp_path / some[0].name), RunDir(tmp_path / some[1].name)
    show(some[0], "training")
    write_metrics(first, s50=0.25, s100=0.125)
    rows_of(show.table())
    clock[0] += 100
    write_metrics(first, s50=0.25, s100=0.125, s150=0.2)
    files.write_text(sweep.log(some[1]), "$ imgloc train\nstep 50/200  loss 1.25  100 images/s  2 s left\n")
    write_metrics(second, s50=0.5)
    show(some[1], "training", "on node7")
    lines = rows_of(show.table())
    (row,) = (line.split() for line in lines if line.strip().startswith(some[0].name))
    assert row[:4] == [some[0].name, "training", "150/200", "0.250"]
    (row,) = (line.split() for line in lines if line.strip().startswith(some[1].name))
    assert row[:4] == [some[1].name, "training", "50/200", "0.500"]
    assert row[-2:] == ["on", "node7"]
    text = " ".join(" ".join(lines).split())
    assert "2 training 2 waiting" in text
    assert f"best so far: top1_loc_50 0.500 on validation, {some[1].name}" in text
    assert "about 10 min left" in text


def test_the_table_shows_the_steps_of_a_run_folder_with_another_name(tmp_path: Path, some: list[Point], pretend: Pretend) -> None:
    renamed = RunDir(tmp_path / "lr=0.1")
    pretend(renamed, some[0], trained=False)
    write_metrics(renamed, s50=0.25)
    show = live.Live(printed()[0], SweepDir(tmp_path), some, finished=0)
    show(some[0], "training")
    (row,) = (line.split() for line in rows_of(show.table()) if line.strip().startswith(some[0].name))
    assert row == [some[0].name, "training", "50/200", "0.250"]


def test_durations() -> None:
    assert [live.duration(seconds) for seconds in (0, 119, 120, 7199, 7200)] == ["0 s", "119 s", "2 min", "120 min", "2 h"]


def test_watching_follows_other_processes_until_all_points_have_ended(
    tmp_path: Path, some: list[Point], pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One point is finished before, one fails, one is trained by another process, and one waits for it."""
    monkeypatch.setattr(live, "WATCH_SECONDS", 0.02)
    sweep, states, in_training, waiting = SweepDir(tmp_path), list[tuple[str, str]](), threading.Event(), threading.Event()
    folder.begin(sweep)
    pretend(RunDir(tmp_path / some[0].name), some[0], top1=0.5)
    folder.note_failure(sweep, some[1], "out of memory")

    def show(point: Point, state: str, note: str) -> None:
        states.append((point.name, state))
        if (point, state) == (some[2], "training"):
            in_training.set()
        if (point, state) == (some[3], "waiting"):
            waiting.set()

    def work() -> None:
        with Claims(sweep.notes).hold(some[2].identity):
            assert in_training.wait(20)
            pretend(RunDir(tmp_path / some[2].name), some[2], top1=0.5)
        assert waiting.wait(20)
        pretend(RunDir(tmp_path / some[3].name), some[3], top1=0.5)

    worker = threading.Thread(target=work)
    worker.start()
    failed = live.watch(sweep, some, "test", show)
    worker.join()
    assert failed == {some[1].name: "out of memory"}
    assert {(some[0].name, "finished"), (some[1].name, "failed"), (some[2].name, "finished"), (some[3].name, "finished")} <= set(states)
    assert not (tmp_path / "sweep.json").exists()


def test_watching_ends_with_a_run_folder_of_another_name(
    tmp_path: Path, some: list[Point], pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "WATCH_SECONDS", 0.02)
    sweep, renamed, states = SweepDir(tmp_path), RunDir(tmp_path / "lr=0.1"), list[str]()
    folder.begin(sweep)
    pretend(renamed, some[0], trained=False)

    def show(point: Point, state: str, note: str) -> None:
        states.append(state)
        assert len(states) < 100, "it does not find the run"
        if len(states) == 2:
            pretend(renamed, some[0], top1=0.5)

    assert live.watch(sweep, some[:1], "test", show) == {}
    assert states == ["waiting", "waiting", "finished"]
