"""What lies where in a sweep's folder, how far each point is, and who works on it.

    NAME/             the run folder of a point, as `imgloc train` and `imgloc evaluate` make it
    sweep.json        every point's metrics, and their means over seeds with 95 % intervals
    .sweep/           NAME.log: what a point's processes printed; ID.lock: who works on it; ID.failed: its last error

A run folder belongs to the point whose config it holds, under whatever name.
"""

from __future__ import annotations

import contextlib
import fcntl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgloc import files
from imgloc.config import schema as configs
from imgloc.errors import UserError, of_storage
from imgloc.runs import run_dir
from imgloc.runs.prediction_table import read_meta
from imgloc.runs.run_dir import RunDir
from imgloc.sweep.points import Point


@dataclass(frozen=True)
class SweepDir:
    """The paths of a sweep's folder."""

    path: Path

    @property
    def summary(self) -> Path:
        return self.path / "sweep.json"

    @property
    def notes(self) -> Path:
        return self.path / ".sweep"

    def log(self, point: Point) -> Path:
        return self.notes / f"{point.name}.log"

    def lock(self, point: Point) -> Path:
        return self.notes / f"{point.identity}.lock"

    def failed(self, point: Point) -> Path:
        return self.notes / f"{point.identity}.failed"


def open_sweep(workdir: str) -> SweepDir:
    """A sweep's folder, which may be absent yet. Raises UserError where something else stands there."""
    path = Path(workdir)
    if not workdir or (path.exists() and not path.is_dir()):
        raise UserError(f"--workdir wants a folder; got '{workdir}'")
    run = RunDir(path)
    if run.config.is_file():
        raise UserError(f"'{path}' is the folder of one run; choose another --workdir for the sweep")
    return SweepDir(path)


def begin(sweep: SweepDir) -> int:
    """Make the folder; returns the time by the clock of its file system, in nanoseconds. Raises UserError."""
    try:
        with files.naming(sweep.path):
            sweep.notes.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=sweep.notes, prefix="begun.") as file:
                return Path(file.name).stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"--workdir: {of_storage(error)}") from error


def runs_by_identity(sweep: SweepDir) -> dict[str, RunDir]:
    """The run folders that are there, by the fingerprint of the config that each holds."""
    found: dict[str, RunDir] = {}
    if not sweep.path.is_dir():
        return found
    for stored in sorted(sweep.path.glob("*/config.json")):
        run = RunDir(stored.parent)
        with contextlib.suppress(UserError):  # damaged: it counts for nothing here, and is refused where it is in the way
            found.setdefault(files.fingerprint(configs.identity(run.read(run.config))), run)
    return found


def run_of(sweep: SweepDir, point: Point, known: Mapping[str, RunDir] | None = None) -> RunDir:
    """The run folder of a point: the one of its name, or one of another name that holds its config.

    Raises UserError where the folder of its name holds something else.
    """
    run = RunDir(sweep.path / point.name)
    if not run.config.is_file():
        run = (runs_by_identity(sweep) if known is None else known).get(point.identity, run)
    run_dir.state(run, point.config)
    return run


def is_trained(run: RunDir, point: Point) -> bool:
    """Whether the training of a point is done, and what its config has scored at the end of it."""
    after = point.config.eval.after_training
    return run_dir.state(run, point.config) == "finished" and (not after or after in run.known_results())


def is_scored(run: RunDir, point: Point, split: str) -> bool:
    """Whether results.json has a split of the finished run, of its best checkpoint (evaluate drops old results before it writes rows)."""
    if not is_trained(run, point) or split not in run.known_results():
        return False
    meta = read_meta(run.rows(split)) or {}
    made_of = {"config": point.identity, "checkpoint": "best", "step": run.read(run.finished).get("best_step")}
    return all(meta.get(key) == value for key, value in made_of.items())


@contextlib.contextmanager
def claimed(lock: Path) -> Iterator[int | None]:
    """Hold a point: gives the open lock for its processes to inherit, or None where somebody else holds it.

    The kernel frees the lock when the last process that has it open ends, killed or not: a sweep that was
    killed leaves no claim behind, and one whose training still runs has not let go of it.
    """
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = True
        except BlockingIOError:
            held = False
        except OSError as error:
            raise UserError(f"the file system of '{lock}' has no locks, which sweeps share points by: {error.strerror}") from error
        yield file.fileno() if held else None


def note_failure(sweep: SweepDir, point: Point, error: str) -> None:
    """Keep why a point failed, for the sweeps that share this folder."""
    files.write_json(sweep.failed(point), {"error": error})


def failure_since(sweep: SweepDir, point: Point, begun: int) -> str | None:
    """Why a point has failed in another sweep since this one began."""
    path = sweep.failed(point)
    with contextlib.suppress(OSError, ValueError):
        if path.stat().st_mtime_ns > begun:
            return str(files.read_json(path)["error"])
    return None


def unscored(sweep: SweepDir, points: Sequence[Point], split: str) -> list[Point]:
    """The points that there is something to do for. Raises UserError where a folder of theirs holds something else."""
    known = runs_by_identity(sweep)
    return [point for point in points if not is_scored(run_of(sweep, point, known), point, split)]
