"""Runs the points of a sweep: submits them to an executor, monitors the jobs, and resubmits unfinished points."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from imgloc.errors import UserError
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import folder
from imgloc.sweeps.claims import Claims
from imgloc.sweeps.executor import Execution, Executor, Job, Session, Show, Submit, SweepStop
from imgloc.sweeps.points import Point
from imgloc.sweeps.progress import latest_step, state
from imgloc.sweeps.work import Plan, check_recipe
from imgloc.training.preemption import Stop

POLL_SECONDS = 0.5  # between looks at jobs, and at points that other sweeps run
MAX_LOSSES = 3  # of the job of a point in a row without a new checkpoint; then the point has failed


@dataclass
class Schedule:
    """The points of a sweep that have not ended."""

    session: Session
    waiting: list[Point]
    running: list[tuple[Job, Sequence[Point]]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    runs: Mapping[str, RunDir] = field(default_factory=dict)  # by the fingerprints of their configs, before points were last submitted
    losses: dict[str, tuple[int, int]] = field(default_factory=dict)  # the latest checkpoint at the last loss, and the losses since


def run_points(plan: Plan, points: Sequence[Point], stop: Stop, show: Show, execution: Execution) -> dict[str, str]:
    """Train and score each point that is unfinished; returns {name: error} of those that failed.

    Waits for points that other sweeps run, and takes them over when such a sweep is killed. Ends early, with the state of the
    running points saved, when `stop` is requested. Raises UserError where the folder cannot be written or the recipe has changed.
    """
    plan = replace(plan, begun=folder.begin(plan.sweep))
    folder.forget_failures(plan.sweep, points, plan.begun)
    executor = execution.executor
    jobs = execution.jobs or executor.jobs
    session = Session(plan, Claims(plan.sweep.notes), SweepStop(stop), jobs, show, execution.options)
    schedule, stopped = Schedule(session, list(points)), False
    with executor.open(session) as submit, _immediately_on_error(session):
        while schedule.running or (schedule.waiting and not stop.requested):
            if not stop.requested:
                _submit(schedule, executor, submit)
            elif not stopped:
                stopped = True
                for job, _ in schedule.running:
                    job.stop()
            if not _collect(schedule):
                time.sleep(POLL_SECONDS)
    return schedule.failed


@contextlib.contextmanager
def _immediately_on_error(session: Session) -> Iterator[None]:
    """Let the processes of a session end at once where an error is raised inside, such as by a second Ctrl-C."""
    try:
        yield
    except BaseException:
        session.stop.immediately = True
        raise


def _submit(schedule: Schedule, executor: Executor, submit: Submit) -> None:
    """Submit points that no process holds, as long as fewer than `jobs` jobs run."""
    session, held = schedule.session, []
    if _is_full(schedule):
        return
    for point in schedule.waiting:
        if session.claims.next(point.identity) is None:
            held.append(point.name)
            session.show(point, "elsewhere", f"on {session.claims.holder(point.identity)}")
    free = [point for point in schedule.waiting if point.name not in held]
    if not free:
        return
    schedule.runs = folder.runs_by_identity(session.plan.sweep)
    for group in executor.groups(session, free):
        if _is_full(schedule) or session.stop.requested:
            return
        todo = [point for point in group if not _has_ended(schedule, point)]
        schedule.waiting = [point for point in schedule.waiting if point not in group]
        for point in todo:
            check_recipe(session.plan.recipe, point)
        if todo:
            schedule.running.append((submit(todo), todo))


def _is_full(schedule: Schedule) -> bool:
    return 0 < schedule.session.jobs <= len(schedule.running)


def _has_ended(schedule: Schedule, point: Point) -> bool:
    """Return whether a point is finished or has failed in this sweep or in another one, and show it."""
    plan, show = schedule.session.plan, schedule.session.show
    error = folder.failure_since(plan.sweep, point, plan.begun)
    try:
        is_finished = error is None and folder.is_scored(folder.run_of(plan.sweep, point), point, plan.split)
    except UserError as refusal:  # its folder has changed since the sweep began
        error, is_finished = str(refusal), False
    if is_finished:
        show(point, "finished", "")
    elif error is not None:
        schedule.failed[point.name] = error
        show(point, "failed", error)
    return is_finished or error is not None


def _collect(schedule: Schedule) -> bool:
    """Sort the points of jobs that have ended into finished, failed and waiting ones; returns whether a job has ended."""
    session, plan, stop = schedule.session, schedule.session.plan, schedule.session.stop
    before, running = len(schedule.running), []
    for job, points in schedule.running:
        if not job.ended():
            running.append((job, points))
            for point in points:
                now, note = state(plan.sweep, point, plan.split, session.claims, schedule.runs)
                if now in ("training", "scoring"):
                    session.show(point, now, note)
            continue
        for point in points:
            if not _has_ended(schedule, point):
                session.show(point, "waiting", "stopped, its state is saved" if stop.requested else "")
                schedule.waiting.append(point)
                if not stop.requested:
                    _count_loss(schedule, point, job)
    schedule.running = running
    return len(running) < before


def _count_loss(schedule: Schedule, point: Point, job: Job) -> None:
    """Note that a point has failed, after too many jobs that ended without a result, an error or a new checkpoint."""
    session = schedule.session
    if session.claims.next(point.identity) is None:  # another sweep was faster
        return
    step = latest_step(folder.run_of(session.plan.sweep, point))
    before, count = schedule.losses.get(point.name, (step, 0))
    count = count + 1 if step == before else 1
    schedule.losses[point.name] = (step, count)
    if count >= MAX_LOSSES:
        error = f"its job ended {count} times without a result, an error or a new checkpoint: {job.details()}"
        folder.note_failure(session.plan.sweep, point, error)
