"""The work on one point, wherever it runs: claim it, train it, score it, and note why it failed.

All that others learn about it is in the folder of the sweep, so that no process needs another one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from imgloc.config import schema as configs
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.config.saved import dotted_names
from imgloc.errors import UserError
from imgloc.sweeps import folder
from imgloc.sweeps.claims import Claim, Claims
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point
from imgloc.sweeps.subprocesses import ProcessStop, run_process


@dataclass(frozen=True)
class Plan:
    """The arguments of a sweep."""

    sweep: SweepDir
    recipe: str  # path of the file
    split: str
    begun: int = 0  # time of the file system in nanoseconds; errors of points that are older do not count


@dataclass(frozen=True)
class ClaimedStop:
    """A request to stop the work on a point: that of its sweep, or because its claim was lost."""

    stop: ProcessStop
    claim: Claim

    @property
    def requested(self) -> bool:
        """Whether to save the state and to end."""
        return self.stop.requested or self.claim.lost

    @property
    def immediately(self) -> bool:
        """Whether to end without saving, because another process trains the point now."""
        return self.stop.immediately or self.claim.lost


#: Trains and scores a claimed point; returns why it did not finish, or "". Raises UserError where its folder contains other files.
TrainAndScore = Callable[[Plan, Point, ClaimedStop], str]


@contextlib.contextmanager
def claimed(plan: Plan, point: Point, claims: Claims, stop: ProcessStop) -> Iterator[ClaimedStop | None]:
    """Claim a point: yields the request to stop its work, or None where another process holds it or it has failed in this sweep."""
    with claims.hold(point.identity) as claim:
        has_failed = claim is not None and folder.failure_since(plan.sweep, point, plan.begun) is not None
        yield None if claim is None or has_failed else ClaimedStop(stop, claim)


def note_result(plan: Plan, point: Point, held: ClaimedStop, error: str) -> None:
    """Write the error of a claimed point to the folder, or remove an earlier one where it is ""; nothing where the work was stopped."""
    if held.requested:
        return
    if error:
        folder.note_failure(plan.sweep, point, error)
    else:
        plan.sweep.failed(point).unlink(missing_ok=True)


def finish(plan: Plan, point: Point, claims: Claims, stop: ProcessStop, train_and_score: TrainAndScore) -> None:
    """Finish a point, unless another process holds it, or it has failed in this sweep. An error is written to the folder."""
    with claimed(plan, point, claims, stop) as held:
        if held is None:
            return
        try:
            error = train_and_score(plan, point, held)
        except UserError as refusal:  # its folder has changed since the sweep began
            error = str(refusal)
        note_result(plan, point, held, error)


def in_processes(environment: Mapping[str, str] | None = None) -> TrainAndScore:
    """Return how a point is trained and scored by `imgloc train` and `imgloc evaluate`, with more environment variables."""
    variables = environment or {}

    def train_and_score(plan: Plan, point: Point, held: ClaimedStop) -> str:
        run, log = folder.run_of(plan.sweep, point), plan.sweep.log(point)
        if folder.is_scored(run, point, plan.split):
            return ""
        if not folder.is_trained(run, point):
            command = ["train", "--config", plan.recipe, "--workdir", str(run.path), *point.arguments]
            error = run_process(command, log, held.claim.handle, held, variables)
            if error or not folder.is_trained(run, point):
                return error or "ended before its last step, its state is saved"
        if folder.is_scored(run, point, plan.split):  # by the evaluation after training that its config requests
            return ""
        if held.requested:
            return "stopped"
        folder.share_baselines(plan.sweep, run)
        own_modules = [f"--allow-import={name}" for name in dotted_names(point.config.to_dict())]  # which the recipe or a flag named
        command = ["evaluate", str(run.path), "--split", plan.split, *own_modules]
        error = run_process(command, log, held.claim.handle, held, variables)
        return error or ("" if folder.is_scored(run, point, plan.split) else "imgloc evaluate wrote no results")

    return train_and_score


def check_recipe(recipe: str, point: Point) -> None:
    """Raise UserError where the recipe no longer has the config that was checked when the sweep began."""
    changed = f"'{recipe}' has changed since this sweep began"
    try:
        identity = configs.fingerprint(resolve(read_recipe(recipe), point.arguments))
    except UserError as error:
        raise UserError(f"{changed}: {error}") from error
    if identity != point.identity:
        raise UserError(f"{changed}, so that '{point.name}' would be another run; start the sweep again, or undo the change")
