"""The folder of a sweep: its files, and the state of each point.

    NAME/             the run folder of a point, written by `imgloc train` and `imgloc evaluate`
    sweep.json        the metrics of every point, and their means over seeds with 95 % intervals
    .sweep/           NAME.log: output of a point's processes; ID.claim.N: who works on it; ID.failed: its error

A run folder belongs to the point with the same config, even if it has another name.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgloc import files
from imgloc.config import schema as configs
from imgloc.errors import UserError, storage_message
from imgloc.runs import run_dir
from imgloc.runs.prediction_table import read_meta
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps.points import Point


@dataclass(frozen=True)
class SweepDir:
    """The paths of the folder of a sweep."""

    path: Path

    @property
    def summary(self) -> Path:
        return self.path / "sweep.json"

    @property
    def notes(self) -> Path:
        return self.path / ".sweep"

    def log(self, point: Point) -> Path:
        return self.notes / f"{point.name}.log"

    def failed(self, point: Point) -> Path:
        return self.notes / f"{point.identity}.failed"


def open_sweep(workdir: str) -> SweepDir:
    """Return the folder of a sweep, which need not exist yet. Raises UserError where the path is a file or a run folder."""
    path = Path(workdir)
    if not workdir or (path.exists() and not path.is_dir()):
        raise UserError(f"--workdir must be a folder, got '{workdir}'")
    run = RunDir(path)
    if run.config.is_file():
        raise UserError(f"'{path}' is the folder of one run; choose another --workdir for the sweep")
    return SweepDir(path)


def begin(sweep: SweepDir) -> int:
    """Create the folder and return the time of its file system in nanoseconds. Raises UserError where it cannot be written."""
    try:
        with files.errors_naming(sweep.path):
            sweep.notes.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=sweep.notes, prefix="begun.") as file:
                return Path(file.name).stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"--workdir: {storage_message(error)}") from error


def runs_by_identity(sweep: SweepDir) -> dict[str, RunDir]:
    """Return the existing run folders by the fingerprint of their configs."""
    runs: dict[str, RunDir] = {}
    for config_file in sorted(sweep.path.glob("*/config.json")):
        run = RunDir(config_file.parent)
        with contextlib.suppress(UserError):  # a damaged one is ignored here, and refused where it has the name of a point
            runs.setdefault(files.fingerprint(configs.identity(run.read(run.config))), run)
    return runs


def run_of(sweep: SweepDir, point: Point, runs: Mapping[str, RunDir] | None = None) -> RunDir:
    """Return the run folder of a point: the one with its name, or another one with its config (of `runs_by_identity`).

    Raises UserError where the folder with its name contains another run or other files.
    """
    run = RunDir(sweep.path / point.name)
    if not run.config.is_file():
        run = (runs_by_identity(sweep) if runs is None else runs).get(point.identity, run)
    run_dir.run_state(run, point.config)
    return run


def is_trained(run: RunDir, point: Point) -> bool:
    """Return whether training has finished, including the evaluation that the config requests after training."""
    after = point.config.eval.after_training
    return run_dir.run_state(run, point.config) == "finished" and (not after or after in run.known_results())


def is_scored(run: RunDir, point: Point, split: str) -> bool:
    """Return whether results.json contains the split, evaluated by the best checkpoint of the finished run."""
    if not is_trained(run, point) or split not in run.known_results():
        return False
    meta = read_meta(run.rows(split)) or {}
    expected = {"config": point.identity, "checkpoint": "best", "step": run.read(run.finished).get("best_step")}
    return all(meta.get(key) == value for key, value in expected.items())


def share_baselines(sweep: SweepDir, run: RunDir) -> None:
    """Copy the fitted baselines of another run with the same training data to a trained run, so that scoring does not fit them again."""
    data = run.read(run.provenance).get("data", {}).get("train")
    for other in () if run.baselines.is_file() else runs_by_identity(sweep).values():
        with contextlib.suppress(UserError):  # damaged ones are not used
            if other.baselines.is_file() and other.read(other.baselines).get("data") == data:
                files.write_json(run.baselines, other.read(other.baselines))
                return


def note_failure(sweep: SweepDir, point: Point, error: str) -> None:
    """Store the error of a point for the other sweeps that share this folder."""
    files.write_json(sweep.failed(point), {"error": error})


def failure_since(sweep: SweepDir, point: Point, begun: int) -> str | None:
    """Return the error of a point that has failed in another sweep since this one began, or None."""
    path = sweep.failed(point)
    with contextlib.suppress(OSError, ValueError):
        if path.stat().st_mtime_ns > begun:
            return str(files.read_json(path)["error"])
    return None


def forget_failures(sweep: SweepDir, points: Sequence[Point], begun: int) -> None:
    """Remove the errors of points that failed before a sweep began, which tries them again."""
    for point in points:
        with contextlib.suppress(OSError):
            if sweep.failed(point).stat().st_mtime_ns <= begun:
                sweep.failed(point).unlink()


def unscored(sweep: SweepDir, points: Sequence[Point], split: str) -> list[Point]:
    """Return the points that are not trained and scored yet. Raises UserError as `run_of` does."""
    runs = runs_by_identity(sweep)
    return [point for point in points if not is_scored(run_of(sweep, point, runs), point, split)]
