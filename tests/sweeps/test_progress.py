"""The progress of a point, read from its files."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from imgloc import files
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import folder
from imgloc.sweeps.claims import Claims
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point
from imgloc.sweeps.progress import last_line, latest_step, progress, state

Pretend = Callable[..., None]


def test_the_state_of_a_point(tmp_path: Path, some: list[Point], pretend: Pretend) -> None:
    sweep, point, run = SweepDir(tmp_path), some[0], RunDir(tmp_path / some[0].name)
    folder.begin(sweep)

    def now() -> tuple[str, str]:
        return state(sweep, point, "test", Claims(sweep.notes), {})

    assert now() == ("waiting", "")
    with Claims(sweep.notes).hold(point.identity):
        assert now()[0] == "training"
        assert now()[1].startswith("on ")
        pretend(run, point)
        assert now()[0] == "scoring"
    folder.note_failure(sweep, point, "out of memory")
    assert now() == ("failed", "out of memory")
    pretend(run, point, top1=0.5)
    assert now() == ("finished", "")
    (tmp_path / some[1].name).mkdir()
    (tmp_path / some[1].name / "thesis.tex").write_text("x")
    assert state(sweep, some[1], "test", Claims(sweep.notes), {})[0] == "failed"


def test_a_run_folder_may_have_another_name_than_its_point(tmp_path: Path, some: list[Point], pretend: Pretend) -> None:
    sweep, point, renamed = SweepDir(tmp_path), some[0], RunDir(tmp_path / "lr=0.1")
    folder.begin(sweep)
    pretend(renamed, point)
    runs = folder.runs_by_identity(sweep)
    with Claims(sweep.notes).hold(point.identity):
        assert state(sweep, point, "test", Claims(sweep.notes), runs)[0] == "scoring"
    pretend(renamed, point, top1=0.5)
    assert state(sweep, point, "test", Claims(sweep.notes), runs) == ("finished", "")


def test_steps_come_from_the_log_and_from_the_output(tmp_path: Path, some: list[Point]) -> None:
    sweep, run = SweepDir(tmp_path), RunDir(tmp_path / some[0].name)
    assert (progress(sweep, run, some[0]).step, math.isnan(progress(sweep, run, some[0]).best)) == (0, True)
    files.write_text(run.metrics, '{"step": 40, "kind": "train", "loss": 1.0}\n{"step": 4')  # the writer was killed
    assert progress(sweep, run, some[0]).step == 40
    files.write_text(sweep.log(some[0]), "$ imgloc train\nstep 1,050/2,000  loss 0.1\n")
    assert progress(sweep, run, some[0]).step == 1050
    assert progress(sweep, run, some[0]).note == "step 1,050/2,000  loss 0.1"
    files.write_text(run.metrics, "{}\n{}\n")
    assert progress(sweep, run, some[0]).step == 1050


def test_the_last_line_of_a_long_file(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a line\n" * 10_000 + "the last é\n")
    assert last_line(tmp_path / "log") == "the last é"
    assert last_line(tmp_path / "none") == ""


def test_the_latest_checkpoint(tmp_path: Path) -> None:
    assert latest_step(RunDir(tmp_path)) == -1
    for name in ("50", "100", "150.orbax-checkpoint-tmp"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert latest_step(RunDir(tmp_path)) == 100
