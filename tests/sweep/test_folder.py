"""Which run folder is a point's, when it is done, and who holds it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imgloc import files
from imgloc.config.recipes import read_recipe
from imgloc.runs.run_dir import RunDir
from imgloc.sweep import folder, points
from imgloc.sweep.folder import SweepDir
from imgloc.sweep.points import Point
from tests.refusals import assert_refused

RECIPE = "tests/sweep/recipe.py"
Pretend = Callable[..., None]


def test_a_point_s_folder_has_its_name_until_its_config_lies_elsewhere(tmp_path: Path, some: list[Point], pretend: Pretend) -> None:
    sweep = SweepDir(tmp_path)
    assert folder.run_of(sweep, some[0]).path == tmp_path / "lr=0.1,seed=0"
    pretend(RunDir(tmp_path / "by hand"), some[0])
    assert folder.run_of(sweep, some[0]).path == tmp_path / "by hand"
    assert folder.run_of(sweep, some[1]).path == tmp_path / "lr=0.1,seed=1"


def test_a_folder_of_its_name_with_something_else_is_refused(tmp_path: Path, some: list[Point], pretend: Pretend) -> None:
    pretend(RunDir(tmp_path / some[0].name), some[2])
    assert_refused(lambda: folder.run_of(SweepDir(tmp_path), some[0]), "optim.lr is 0.2 there and 0.1 here")
    (tmp_path / some[1].name).mkdir()
    (tmp_path / some[1].name / "thesis.tex").write_text("dear")
    assert_refused(lambda: folder.run_of(SweepDir(tmp_path), some[1]), "holds other files")
    shutil.rmtree(tmp_path / some[0].name)
    (tmp_path / some[0].name).mkdir()
    (tmp_path / some[0].name / "config.json").write_text("{")
    assert_refused(lambda: folder.unscored(SweepDir(tmp_path), some[:1], "test"), "cannot read")


def test_a_point_is_scored_when_its_results_are_of_its_finished_run(tmp_path: Path, some: list[Point], pretend: Pretend) -> None:
    point, run = some[0], RunDir(tmp_path / some[0].name)

    def scored(split: str = "test") -> bool:
        return folder.is_scored(run, point, split)

    assert not scored()
    pretend(run, point, trained=False, top1=0.5)
    assert not scored()  # scored while it was being trained
    pretend(run, point, top1=0.5)
    assert scored()
    assert not scored("validation")
    assert folder.unscored(SweepDir(tmp_path), some[:2], "test") == [some[1]]
    pretend(run, point, top1=0.5, step=100)
    assert not scored()  # of a checkpoint that is not the best any more
    pretend(run, point, top1=0.5)
    run.rows("test").with_suffix(".meta.json").unlink()
    assert not scored()  # rows are being made anew
    pretend(run, point, top1=0.5)
    run.results.write_text("{")
    assert not scored()


def test_a_point_that_is_scored_after_training_is_trained_when_that_is_done(tmp_path: Path, pretend: Pretend) -> None:
    """A sweep killed between the two leaves the same results as one left alone."""
    (point,) = points.expand(read_recipe(RECIPE), [{"eval.after_training": "test@last"}])
    run = RunDir(tmp_path / point.name)
    pretend(run, point)
    assert not folder.is_trained(run, point)
    pretend(run, point, top1=0.5)
    assert not folder.is_scored(run, point, "test")
    files.write_json(run.results, {"test@last": {}, **run.known_results()})
    assert folder.is_trained(run, point)
    assert folder.is_scored(run, point, "test")


def test_folders_that_cannot_hold_a_sweep_are_told(tmp_path: Path, some: list[Point], pretend: Pretend) -> None:
    pretend(RunDir(tmp_path / "run"), some[0])
    (tmp_path / "file").write_text("dear")
    assert_refused(lambda: folder.open_sweep(str(tmp_path / "run")), "the folder of one run")
    assert_refused(lambda: folder.open_sweep(str(tmp_path / "file")), "wants a folder")
    assert_refused(lambda: folder.open_sweep(""), "wants a folder")
    assert_refused(lambda: folder.begin(SweepDir(tmp_path / "file" / "below")), "--workdir: cannot use", "Not a directory")
    assert not list(tmp_path.glob("*/.sweep"))


def test_one_at_a_time_holds_a_point(tmp_path: Path) -> None:
    lock = tmp_path / "point.lock"
    with folder.claimed(lock) as mine:
        assert mine is not None
        with folder.claimed(lock) as other:
            assert other is None
    with folder.claimed(lock) as mine:
        assert mine is not None


def test_a_claim_ends_with_the_last_process_that_inherited_it(tmp_path: Path) -> None:
    """A sweep killed outright: its training still holds the point, and nobody does once that has ended too."""
    lock = tmp_path / "point.lock"
    code = "\n".join([
        "import subprocess, sys, time, pathlib", "from imgloc.sweep import folder",
        f"with folder.claimed(pathlib.Path({str(lock)!r})) as held:",
        "    child = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'], pass_fds=(held,), stdin=subprocess.PIPE)",
        "    print(child.pid, flush=True); time.sleep(100)",
    ])  # fmt: skip
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    child = int(owner.stdout.readline())
    os.kill(child, signal.SIGSTOP)  # it does not notice that its standard input closes
    owner.kill()
    owner.wait()
    owner.stdout.close()
    with folder.claimed(lock) as held:
        assert held is None
    os.kill(child, signal.SIGCONT)
    for _ in range(1000):
        with folder.claimed(lock) as held:
            if held is not None:
                break
        time.sleep(0.01)
    else:
        pytest.fail("the claim outlived both processes")


def test_failures_count_from_the_beginning_of_a_sweep(tmp_path: Path, some: list[Point]) -> None:
    sweep = SweepDir(tmp_path)
    folder.begin(sweep)
    folder.note_failure(sweep, some[0], "out of memory")
    begun = folder.begin(sweep)
    os.utime(sweep.failed(some[0]), ns=(begun - 1, begun - 1))
    assert folder.failure_since(sweep, some[0], begun) is None
    os.utime(sweep.failed(some[0]), ns=(begun + 1, begun + 1))
    assert folder.failure_since(sweep, some[0], begun) == "out of memory"
    assert folder.failure_since(sweep, some[1], begun) is None
    files.write_text(sweep.failed(some[0]), "{")
    assert folder.failure_since(sweep, some[0], 0) is None
    assert {path.name for path in sweep.notes.iterdir()} == {f"{some[0].identity}.failed"}
