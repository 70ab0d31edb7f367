"""Points in this process: they share compiled programs and data, no process is started for them, and some may train together."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgloc.config.saved import allow_imports, dotted_names
from imgloc.errors import UserError, WorkerError, reason
from imgloc.sweeps import folder
from imgloc.sweeps.executor import Executor, Job, Session, Submit
from imgloc.sweeps.points import Point
from imgloc.sweeps.populations import groups, largest, runs_of, train_together
from imgloc.sweeps.work import ClaimedStop, Plan, claimed, note_result
from imgloc.training.preemption import Stop

if TYPE_CHECKING:
    from imgloc.inference.predict import Compiled
    from imgloc.training.setup import Opened


class EndedJob:
    """A job that has ended before it was returned."""

    def ended(self) -> bool:
        """Return True."""
        return True

    def stop(self) -> None:
        """Do nothing."""

    def details(self) -> str:
        """Name the log."""
        return "see its log"


class ClaimLost(Exception):
    """Another process works on a point now, so that nothing may be written to its folder."""


@dataclass(frozen=True)
class ClaimedStops:
    """The request to stop the training of claimed points in this process."""

    held: Sequence[ClaimedStop]

    @property
    def requested(self) -> bool:
        """Whether the sweep is stopped. Raises ClaimLost where a claim was lost, because the state must not be saved."""
        if any(each.claim.lost for each in self.held):
            raise ClaimLost
        return any(each.stop.requested for each in self.held)


@contextlib.contextmanager
def open_(session: Session) -> Iterator[Submit]:
    """Yields a function that trains and scores points before it returns."""
    from imgloc.training.setup import Opened

    opened = Opened()

    def submit(points: Sequence[Point]) -> Job:
        with contextlib.ExitStack() as claims:
            found = {point.name: claims.enter_context(claimed(session.plan, point, session.claims, session.stop)) for point in points}
            _work(session, points, {name: held for name, held in found.items() if held is not None}, opened)
        return EndedJob()

    yield submit


def _work(session: Session, points: Sequence[Point], held: Mapping[str, ClaimedStop], opened: Opened) -> None:
    """Train and score the points that are claimed, and note their results."""
    mine, errors = [point for point in points if point.name in held], dict[str, Exception]()
    for point in mine:
        session.show(point, "training", "")
    if largest(session.options) > 1:
        errors = train_together(mine, runs_of(session.plan.sweep, mine), ClaimedStops(list(held.values())), opened)
        if any(each.claim.lost for each in held.values()):
            return  # the others have not failed; they are submitted again
    for point in mine:
        if session.stop.requested:
            return
        error = train_and_score(session.plan, point, held[point.name], opened, errors.get(point.name))
        note_result(session.plan, point, held[point.name], error)


def train_and_score(plan: Plan, point: Point, held: ClaimedStop, opened: Opened, failed: Exception | None = None) -> str:
    """Train and score a claimed point as `imgloc train` and `imgloc evaluate` do; returns its error in one line, or "".

    `opened` has what the points of this process share: points that differ only in numbers and seeds share one compiled program.
    `failed` is the error of its training, where a population trained it.
    """
    from imgloc.training import start
    from imgloc.training.metric_queue import NonFiniteError

    with plan.sweep.log(point).open("a") as log:
        try:
            if failed is not None:
                raise failed
            for line in _steps(plan, point, ClaimedStops([held]), opened):
                log.write(f"{line}\n")
                log.flush()
            is_done = held.requested or folder.is_scored(folder.run_of(plan.sweep, point), point, plan.split)
        except ClaimLost:
            return ""
        except UserError as error:
            return str(error)
        except (WorkerError, NonFiniteError, OSError) as error:
            return start.error_line(error)
        except Exception as error:  # of a library or of the user's own module; a process would have ended with it
            log.write(traceback.format_exc())
            return reason(error, lines=1)
    return "" if is_done else "ended before its last step, its state is saved"


def _steps(plan: Plan, point: Point, stop: Stop, opened: Opened) -> Iterator[str]:
    """Do what remains for a point, and yield a line for its log before each part."""
    from imgloc.config.build import fit_of
    from imgloc.evaluation.evaluate import evaluate
    from imgloc.evaluation.target import after_training, named_target
    from imgloc.runs.run_dir import open_run
    from imgloc.training import start
    from imgloc.training.data_faults import training_notes
    from imgloc.training.setup import set_up

    def compiled() -> Compiled | None:
        return None if fit_of(point.config.model.name) else set_up(point.config, opened).predict

    run = folder.run_of(plan.sweep, point)
    if not folder.is_trained(run, point):
        yield f"$ train {run.path} in the process of the sweep"
        scoring = after_training(point.config, run)
        yield from training_notes(point.config, run.path, allow_faults=False, command=f"imgloc data check --config {plan.recipe}")
        start.train(point.config, str(run.path), stop=stop, quiet=True, opened=opened)
        if scoring is not None and not stop.requested:
            allow_imports(*dotted_names(point.config.to_dict()))
            evaluate(*open_run(str(run.path)), scoring[0], which=scoring[1], compiled=compiled())
    if stop.requested or folder.is_scored(run, point, plan.split):
        return
    yield f"$ evaluate {run.path} in the process of the sweep"
    folder.share_baselines(plan.sweep, run)
    allow_imports(*dotted_names(point.config.to_dict()))  # which the recipe or a flag named
    scored, config = open_run(str(run.path))
    evaluate(scored, config, named_target(scored, config, plan.split, checkpoint="best"), compiled=compiled())


def check(jobs: int, options: Mapping[str, str]) -> None:
    """Raise UserError for more than one job, and for a size of populations that is not one."""
    if jobs > 1:
        raise UserError(f"the executor in_process runs one job at a time, got --jobs {jobs}; possible: --executor processes")
    largest(options)


EXECUTOR = Executor(
    "the process of the sweep, one point after another, or several in one population",
    open_, jobs=1, check=check, groups=groups,
    options={"population": "points that share a program and train together, at most (default: 1)"},
)  # fmt: skip
