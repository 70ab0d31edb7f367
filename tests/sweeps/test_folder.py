"""The run folder of a point, and its state."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from imgloc import files
from imgloc.config.recipes import read_recipe
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import folder, points
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point
from tests.refusals import assert_refused

RECIPE = "tests/sweeps/recipe.py"
Pretend = Callable[..., None]


def test_the_folder_of_a_point_has_its_name_or_its_config(tmp_path: Path, some: list[Point], pretend: Pretend) -> None:
    sweep = SweepDir(tmp_path)
    assert folder.run_of(sweep, some[0]).path == tmp_path / "lr=0.1,seed=0"
    pretend(RunDir(tmp_path / "by hand"), some[0])
    assert folder.run_of(sweep, some[0]).path == tmp_path / "by hand"
    assert folder.run_of(sweep, some[1]).path == tmp_path / "lr=0.1,seed=1"


def test_a_folder_with_its_name_and_another_content_is_refused(tmp_path: Path, some: list[Point], pretend: Pretend) -> None:
    pretend(RunDir(tmp_path / some[0].name), some[2])
    assert_refused(lambda: folder.run_of(SweepDir(tmp_path), some[0]), "optim.lr is 0.2 in that run and 0.1 in this command")
    (tmp_path / some[1].name).mkdir()
    (tmp_path / some[1].name / "thesis.tex").write_text("dear")
    assert_refused(lambda: folder.run_of(SweepDir(tmp_path), some[1]), "contains other files")
    shutil.rmtree(tmp_path / some[0].name)
    (tmp_path / some[0].name).mkdir()
    (tmp_path / some[0].name / "config.json").write_text("{")
    assert_refused(lambda: folder.unscored(SweepDir(tmp_path), some[:1], "test"), "cannot read")


def test_a_point_is_scored_if_its_results_are_of_its_finished_run(tmp_path: Path, some: list[Point], pretend: Pretend) -> None:
    point, run = some[0], RunDir(tmp_path / some[0].name)

    def is_scored(split: str = "test") -> bool:
        return folder.is_scored(run, point, split)

    assert not is_scored()
    pretend(run, point, trained=False, top1=0.5)
    assert not is_scored()  # scored before training had finished
    pretend(run, point, top1=0.5)
    assert is_scored()
    assert not is_scored("validation")
    assert folder.unscored(SweepDir(tmp_path), some[:2], "test") == [some[1]]
    pretend(run, point, top1=0.5, step=100)
    assert not is_scored()  # by a checkpoint that is no longer the best
    pretend(run, point, top1=0.5)
    run.rows("test").with_suffix(".meta.json").unlink()
    assert not is_scored()  # rows are being written again
    pretend(run, point, top1=0.5)
    run.results.write_text("{")
    assert not is_scored()


def test_training_includes_the_evaluation_after_training(tmp_path: Path, pretend: Pretend) -> None:
    """A sweep that is killed between training and this evaluation ends with the same results."""
    (point,) = points.expand(read_recipe(RECIPE), [{"eval.after_training": "test@last"}])
    run = RunDir(tmp_path / point.name)
    pretend(run, point)
    assert not folder.is_trained(run, point)
    pretend(run, point, top1=0.5)
    assert not folder.is_scored(run, point, "test")
    files.write_json(run.results, {"test@last": {}, **run.known_results()})
    assert folder.is_trained(run, point)
    assert folder.is_scored(run, point, "test")


def test_folders_that_cannot_be_of_a_sweep_are_refused(tmp_path: Path, some: list[Point], pretend: Pretend) -> None:
    pretend(RunDir(tmp_path / "run"), some[0])
    (tmp_path / "file").write_text("dear")
    assert_refused(lambda: folder.open_sweep(str(tmp_path / "run")), "the folder of one run")
    assert_refused(lambda: folder.open_sweep(str(tmp_path / "file")), "must be a folder")
    assert_refused(lambda: folder.open_sweep(""), "must be a folder")
    assert_refused(lambda: folder.begin(SweepDir(tmp_path / "file" / "below")), "--workdir: cannot use", "Not a directory")
    assert not list(tmp_path.glob("*/.sweep"))


def test_failures_before_the_beginning_of_a_sweep_are_ignored(tmp_path: Path, some: list[Point]) -> None:
    sweep = SweepDir(tmp_path)
    folder.begin(sweep)
    folder.note_failure(sweep, some[0], "out of memory")
    begun = folder.begin(sweep)
    os.utime(sweep.failed(some[0]), ns=(begun - 1, begun - 1))
    assert folder.failure_since(sweep, some[0], begun) is None
    os.utime(sweep.failed(some[0]), ns=(begun + 1, begun + 1))
    folder.forget_failures(sweep, some, begun)
    assert folder.failure_since(sweep, some[0], begun) == "out of memory"
    assert folder.failure_since(sweep, some[1], begun) is None
    files.write_text(sweep.failed(some[0]), "{")
    assert folder.failure_since(sweep, some[0], 0) is None
    assert {path.name for path in sweep.notes.iterdir()} == {f"{some[0].identity}.failed"}
    folder.forget_failures(sweep, some, sweep.failed(some[0]).stat().st_mtime_ns)
    assert not list(sweep.notes.iterdir())


def test_a_run_takes_the_baselines_of_another_run_with_its_training_data(tmp_path: Path, some: list[Point], pretend: Pretend) -> None:
    sweep, runs = SweepDir(tmp_path), [RunDir(tmp_path / point.name) for point in some[:3]]
    for run, point, data in zip(runs, some, ("a", "b", "b"), strict=False):
        pretend(run, point)
        files.write_json(run.provenance, {"data": {"train": data}})
    files.write_json(runs[0].baselines, {"data": "a", "fitted": 1})
    folder.share_baselines(sweep, runs[1])
    assert not runs[1].baselines.exists()  # those of other data
    files.write_text(runs[0].baselines, "{")
    files.write_json(runs[2].baselines, {"data": "b", "fitted": 2})
    folder.share_baselines(sweep, runs[1])
    assert files.read_json(runs[1].baselines) == {"data": "b", "fitted": 2}
    files.write_json(runs[2].baselines, {"data": "b", "fitted": 3})
    folder.share_baselines(sweep, runs[1])
    assert files.read_json(runs[1].baselines)["fitted"] == 2  # its own are kept
