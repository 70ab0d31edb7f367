"""Points in this process, one after another: they share compiled programs and data, and no process is started for them."""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from imgloc.config.saved import allow_imports, dotted_names
from imgloc.errors import UserError, WorkerError, one_line, reason, storage_message
from imgloc.sweeps import folder
from imgloc.sweeps.claims import Claim
from imgloc.sweeps.executor import Executor, Job, Session, Submit
from imgloc.sweeps.points import Point
from imgloc.sweeps.work import ClaimedStop, Plan, finish
from imgloc.training.preemption import StopRequest

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


@contextlib.contextmanager
def open_(session: Session) -> Iterator[Submit]:
    """Yields a function that trains and scores points before it returns."""

    from imgloc.training.setup import Opened

    work = functools.partial(train_and_score, opened=Opened())

    def submit(points: Sequence[Point]) -> Job:
        for point in points:
            if not session.stop.requested:
                finish(session.plan, point, session.claims, session.stop, work)
        return EndedJob()

    yield submit


def train_and_score(plan: Plan, point: Point, claim: Claim, stop: ClaimedStop, *, opened: Opened) -> str:
    """Train and score a claimed point as `imgloc train` and `imgloc evaluate` do; returns its error in one line, or "".

    `opened` has what the points of this process share: points that differ only in numbers and seeds share one compiled program.
    """
    with plan.sweep.log(point).open("a") as log:
        try:
            for line in _steps(plan, point, stop, opened):
                log.write(f"{line}\n")
                log.flush()
        except UserError:
            raise
        except (WorkerError, OSError) as error:
            return storage_message(error) if isinstance(error, OSError) else one_line(error)
        except Exception as error:  # of a library or of the user's own module; a process would have ended with it
            log.write(traceback.format_exc())
            return reason(error, lines=1)
    if not stop.requested and not folder.is_scored(folder.run_of(plan.sweep, point), point, plan.split):
        return "ended before its last step, its state is saved"
    return ""


def _steps(plan: Plan, point: Point, stop: ClaimedStop, opened: Opened) -> Iterator[str]:
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
        start.train(point.config, str(run.path), stop=cast("StopRequest", stop), quiet=True, opened=opened)
        if scoring is not None and not stop.requested:
            allow_imports(*dotted_names(point.config.to_dict()))
            evaluate(*open_run(str(run.path)), scoring[0], which=scoring[1], compiled=compiled())
    if stop.requested or folder.is_scored(run, point, plan.split):
        return
    yield f"$ evaluate {run.path} in the process of the sweep"
    allow_imports(*dotted_names(point.config.to_dict()))  # which the recipe or a flag named
    scored, config = open_run(str(run.path))
    evaluate(scored, config, named_target(scored, config, plan.split, checkpoint="best"), compiled=compiled())


def check(jobs: int, options: Mapping[str, str]) -> None:
    """Raise UserError for more than one job."""
    if jobs > 1:
        raise UserError(f"the executor in_process runs one job at a time, got --jobs {jobs}; possible: --executor processes")


EXECUTOR = Executor("the process of the sweep, one point after another", open_, jobs=1, check=check)
