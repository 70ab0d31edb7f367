"""Experiments in Python, as `imgloc experiment` and `imgloc reproduce` run them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from imgloc import files
from imgloc.errors import UserError
from imgloc.experiments import agreement, records, running
from imgloc.experiments.declared import Experiment, Json, load_experiment, matching
from imgloc.experiments.points import ExperimentPoint, data_folders, points_of
from imgloc.sweeps import folder as folders
from imgloc.sweeps import points as sweep_points
from imgloc.sweeps import subprocesses
from imgloc.sweeps.executor import Execution
from imgloc.sweeps.folder import SweepDir
from imgloc.training.preemption import StopRequest


@dataclass(frozen=True)
class Chosen:
    """An experiment, and the arms and seeds of it that a command is about."""

    experiment: Experiment
    place: Path  # its folder
    arms: Sequence[str]
    seeds: Sequence[int]  # none: all seeds of an arm
    folders: Mapping[str, str]  # of the data

    def points(self) -> list[ExperimentPoint]:
        """Return the points; see `points_of` for what it refuses."""
        return points_of(self.experiment, self.place, self.arms, self.seeds, self.folders)


def choose(path: str, arms: Sequence[str] = (), seeds: Sequence[int] = (), data: Sequence[str] = ()) -> Chosen:
    """Return an experiment with chosen arms (names or patterns), seeds and folders of data (FOLDER or NAME=FOLDER).

    Raises UserError for a folder without an experiment, for arms that match nothing, and for other folders of data.
    """
    experiment, place = load_experiment(path)
    return Chosen(experiment, place, matching(experiment, arms), seeds, data_folders(experiment, data))


def check(chosen: Chosen, sweep: SweepDir, report: Callable[[str], None]) -> list[str]:
    """Make the checks of `imgloc train` and `imgloc evaluate` for the points that are unfinished; returns the names of all points."""
    planned = chosen.points()
    todo = running.unfinished(chosen.experiment, sweep, planned)
    sweep_points.check([each.point for each in todo], running.SPLIT, report)
    return [each.point.name for each in planned]


def check_in_a_process(chosen: Chosen, workdir: str) -> None:
    """Make these checks in a separate process, which releases the GPU or TPU for training. Raises UserError as `check` does."""
    command = ["experiment", str(chosen.place), "--check", "--workdir", workdir, "--arms", *chosen.arms]
    command += ["--seeds", *map(str, chosen.seeds)] if chosen.seeds else []
    command += [word for name, path in chosen.folders.items() for word in ("--folder", f"{name}={path}")]
    subprocesses.check_in_a_process(command)


def train(
    chosen: Chosen, planned: Sequence[ExperimentPoint], workdir: str, stop: StopRequest, console: Console, execution: Execution
) -> dict[str, str]:
    """Train and score the points that are unfinished, after a check of all; returns {name: error} of those that failed."""
    sweep = folders.open_sweep(workdir)
    if running.unfinished(chosen.experiment, sweep, planned):
        check_in_a_process(chosen, workdir)
    return running.run(chosen.experiment, sweep, planned, _of_all_arms(chosen), stop, console, execution)


def _of_all_arms(chosen: Chosen) -> list[ExperimentPoint]:
    """The points of all arms and seeds, without those of arms whose data is not on this machine."""
    arms = []
    for name in chosen.experiment.arms:
        with contextlib.suppress(UserError):
            points_of(chosen.experiment, chosen.place, [name], (), chosen.folders)
            arms.append(name)
    return points_of(chosen.experiment, chosen.place, arms, (), chosen.folders)


def gather(chosen: Chosen, workdir: str) -> Json:
    """Merge the runs in a folder into results.json, and return its content. Raises UserError where the folder has none of them."""
    sweep = folders.open_sweep(workdir)
    found = records.gathered(chosen.experiment, sweep, chosen.points())
    if not found["runs"]:
        raise UserError(f"'{workdir}' has no run of '{chosen.place}'; nothing was written; possible: another --workdir")
    saved = records.merged(chosen.experiment, records.read_results(chosen.place), found)
    files.write_json(records.results_path(chosen.place), saved)
    return saved


def measure(chosen: Chosen) -> Json:
    """Time the training step of each arm, store the times in results.json, and return its content."""
    from imgloc.experiments.step_times import step_times

    configs = {each.arm: each.point.config for each in reversed(chosen.points())}
    timed = step_times({name: configs[name] for name in chosen.arms if name in configs}, operations=chosen.experiment.operations)
    saved = records.read_results(chosen.place)  # late: another command may have written meanwhile
    stored = saved.get("steps", {})
    kept = {name: times for name, times in stored.get("arms", {}).items() if name not in timed["arms"]}
    if kept and stored.get("machine") != timed["machine"]:
        machines = f"'{stored.get('machine')}', and this one is '{timed['machine']}'"
        raise UserError(f"results.json has times of other arms, measured on the machine {machines}; measure all arms on one machine")
    saved["steps"] = {**timed, "arms": {**kept, **timed["arms"]}}
    files.write_json(records.results_path(chosen.place), saved)
    return saved


def draw(chosen: Chosen, workdir: str) -> list[Path]:
    """Write the pictures of an experiment beside its results.json; returns their paths."""
    if chosen.experiment.pictures is None:
        raise UserError(f"'{chosen.place}' has no pictures; set Experiment.pictures")
    drawn = chosen.experiment.pictures(records.read_results(chosen.place), Path(workdir))
    for name, content in drawn.items():
        files.write_bytes(chosen.place / name, content)
    return [chosen.place / name for name in drawn]


@dataclass(frozen=True)
class Reproduced:
    """How an experiment that was run again compares with its recorded results."""

    cells: Sequence[agreement.Cell]
    failed: Mapping[str, str]

    @property
    def agrees(self) -> bool:
        """Whether there are cells, every one agrees, and no run failed."""
        return bool(self.cells) and not self.failed and all(cell.verdict in ("equal", "agrees") for cell in self.cells)


def check_same(chosen: Chosen, *, allow_differences: bool) -> tuple[list[ExperimentPoint], list[str]]:
    """Return the chosen points that results.json has finished runs of, and notes on what differs or is not recorded.

    Raises UserError for a difference of code, config or data, unless they are allowed, and where no chosen run is recorded.
    """
    recorded = records.read_results(chosen.place)
    pairs = agreement.recorded_points(recorded, chosen.points())
    if not pairs:
        names = [name for name, runs in recorded.get("runs", {}).items() if any("results" in run for run in runs)]
        of = f"results.json of '{chosen.place}'"
        raise UserError(f"{of} has no finished run of these arms and seeds; it has runs of {', '.join(names) or 'no arm'}")
    found = agreement.differences(recorded, pairs)
    if found and not allow_differences:
        more = f" (and {len(found) - 1} other differences)" if len(found) > 1 else ""
        raise UserError(f"{found[0]}{more}; undo that, or pass --allow-differences")
    missing = agreement.not_recorded(recorded, pairs)
    return [each for each, _ in pairs], [*found, *([f"results.json does not have {' and '.join(missing)}"] if missing else [])]


def reproduce(
    chosen: Chosen, planned: Sequence[ExperimentPoint], workdir: str, stop: StopRequest, console: Console, execution: Execution
) -> Reproduced:
    """Train and score points of an experiment in a folder, and compare them with results.json, which is not changed."""
    failed = train(chosen, planned, workdir, stop, console, execution)
    new = records.gathered(chosen.experiment, folders.open_sweep(workdir), planned)
    return Reproduced(list(agreement.cells(chosen.experiment, records.read_results(chosen.place), new)), failed)
