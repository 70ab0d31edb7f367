"""Training and scoring the points of an experiment: they are the points of a sweep, in the folder of a sweep."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console

from imgloc import files
from imgloc.config.overrides import as_arguments
from imgloc.config.saved import dotted_names
from imgloc.experiments.declared import Evaluation, Experiment
from imgloc.experiments.points import ExperimentPoint
from imgloc.experiments.records import is_finished
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import folder as folders
from imgloc.sweeps import table
from imgloc.sweeps.executor import Execution
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.live import Live
from imgloc.sweeps.run import run_points
from imgloc.sweeps.subprocesses import error_line
from imgloc.sweeps.work import Plan
from imgloc.training.preemption import StopRequest

SPLIT = "test"  # that every run is scored on by its best checkpoint


def unfinished(experiment: Experiment, sweep: SweepDir, planned: Sequence[ExperimentPoint]) -> list[ExperimentPoint]:
    """Return the points that are not trained, or not scored by every evaluation. Raises UserError as `folder.run_of` does."""
    known = folders.runs_by_identity(sweep)
    return [each for each in planned if not is_finished(experiment, folders.run_of(sweep, each.point, known), each)]


def run(
    experiment: Experiment, sweep: SweepDir, planned: Sequence[ExperimentPoint], others: Sequence[ExperimentPoint], stop: StopRequest,
    console: Console, execution: Execution,
) -> dict[str, str]:  # fmt: skip
    """Train and score the planned points that are unfinished, and write sweep.json; returns {name: error} of those that failed.

    sweep.json has the planned points, and those of `others` that have a run folder.
    """
    todo = unfinished(experiment, sweep, planned)
    failed: dict[str, str] = {}
    with Live(console, sweep, [each.point for each in todo], len(planned) - len(todo)) as show:
        for recipe, group in itertools.groupby(todo, key=lambda each: each.recipe):
            members = list(group)
            if not stop.requested:
                failed |= run_points(Plan(sweep, recipe, SPLIT), [each.point for each in members], stop, show, execution)
            for each in members:
                if not stop.requested and each.point.name not in failed:
                    failed |= _evaluate(experiment, sweep, each, stop)
    known, names = folders.runs_by_identity(sweep), {each.point.name for each in planned}
    kept = [each.point for each in others if each.point.identity in known or each.point.name in names]
    points = kept + [each.point for each in planned if each.point.identity not in {point.identity for point in kept}]
    files.write_json(sweep.summary, table.summary(sweep, points, SPLIT, failed))
    return failed


def _evaluate(experiment: Experiment, sweep: SweepDir, each: ExperimentPoint, stop: StopRequest) -> Mapping[str, str]:
    """Make the further evaluations of an arm that a run lacks; returns {name: error} where one failed.

    Another process with this folder may make the same one: `imgloc evaluate` locks the results, and both write the same values.
    """
    found = folders.run_of(sweep, each.point)
    for evaluation in experiment.arms[each.arm].evaluations:
        if evaluation.split not in found.known_results() and not stop.requested:
            command = [sys.executable, "-m", "imgloc", *_arguments(found, each, evaluation)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            with sweep.log(each.point).open("a") as log:
                log.write(done.stdout + done.stderr)
            if done.returncode and not stop.requested:
                error = error_line(done.stderr, done.returncode)
                folders.note_failure(sweep, each.point, error)
                return {each.point.name: error}
    return {}


def _arguments(found: RunDir, each: ExperimentPoint, evaluation: Evaluation) -> list[str]:
    own_modules = [f"--allow-import={name}" for name in dotted_names(each.point.config.to_dict())]
    name = [f"--name={evaluation.name}"] if evaluation.name else []
    checkpoint = f"--checkpoint={evaluation.checkpoint}"
    return ["evaluate", str(found.path), checkpoint, *name, *own_modules, *as_arguments(evaluation.overrides)]
