"""The interface of executors, which run the points of a sweep. Each file in `imgloc/sweeps/executors` defines an `EXECUTOR`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from imgloc.config.registry import declared
from imgloc.errors import UserError, unknown
from imgloc.sweeps.claims import Claims
from imgloc.sweeps.points import Point
from imgloc.sweeps.work import Plan
from imgloc.training.preemption import Stop


class Job(Protocol):
    """One or several points that were submitted."""

    def ended(self) -> bool:
        """Return whether the job has ended, for any reason: the folder of the sweep has the results.

        Raises an error that concerns the whole sweep, such as a folder that cannot be written.
        """

    def stop(self) -> None:
        """Request that the job saves its state and ends, if it does not follow `Session.stop`."""

    def details(self) -> str:
        """Return why the job has ended, or where this is written; completes the error of a point that its jobs do not finish."""


Show = Callable[[Point, str, str], None]  # reports a point, its state (a name in live.STATES) and a note
Submit = Callable[[Sequence[Point]], Job]
AnyJob = TypeVar("AnyJob", bound=Job)


def stop_unfinished(jobs: Sequence[AnyJob]) -> list[AnyJob]:
    """Request the stop of the jobs that have not ended, and return them."""
    unfinished = [job for job in jobs if not job.ended()]
    for job in unfinished:
        job.stop()
    return unfinished


@dataclass
class SweepStop:
    """The request to stop a sweep, and whether its processes end without saving their state."""

    request: Stop
    immediately: bool = False

    @property
    def requested(self) -> bool:
        """Whether the state of running points is saved, and the sweep ends."""
        return self.request.requested or self.immediately


@dataclass(frozen=True)
class Session:
    """A sweep that runs, as its executor sees it."""

    plan: Plan
    claims: Claims
    stop: SweepStop
    jobs: int  # that work at the same time; 0: no limit
    show: Show
    options: Mapping[str, str] = field(default_factory=dict)  # of the executor


@dataclass(frozen=True)
class Executor:
    """Where and when the points of a sweep run (`EXECUTOR`).

    `open` is a context manager of a function that submits points. A job need not finish its points: unfinished ones are submitted
    again when it has ended. At the end of the context, also by an error, no job runs any more.
    """

    meaning: str  # one sentence
    open: Callable[[Session], AbstractContextManager[Submit]]
    jobs: int = 0  # at the same time, where the user gives no number; 0: no limit
    check: Callable[[int, Mapping[str, str]], None] = lambda _jobs, _options: None  # refuses a number of jobs, or options
    options: Mapping[str, str] = field(default_factory=dict)  # names with meanings; `*`: any other name is left to `check`
    #: Divides points that wait into those that one job takes together.
    groups: Callable[[Session, Sequence[Point]], Sequence[Sequence[Point]]] = lambda _session, points: [[point] for point in points]


def read_options(executor: Executor, name: str, options: Sequence[str]) -> dict[str, str]:
    """Return `KEY=VALUE` texts as a dict. Raises UserError for options that the executor does not have."""
    values: dict[str, str] = {}
    for option in options:
        key, separator, value = option.partition("=")
        if not (separator and key and value):
            raise UserError(f"--option must be KEY=VALUE, got '{option}'")
        if key not in executor.options and "*" not in executor.options:
            raise unknown(f"option of the executor {name}", key, executor.options)
        values[key] = value
    return values


@dataclass(frozen=True)
class Execution:
    """Where and when the points of a sweep run: the executor, the number of jobs (0: its own number), and its options."""

    executor: Executor
    jobs: int = 0
    options: Mapping[str, str] = field(default_factory=dict)


def open_execution(name: str, jobs: int | None, options: Sequence[str]) -> Execution:
    """Return how points run. `jobs` is None for the executor's own number; `options` are KEY=VALUE.

    Raises UserError for an unknown executor, one whose package is not installed, and a number of jobs or options that it refuses.
    """
    executor = declared("sweeps.executors", name, Executor)
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs must be at least 1, got {jobs}")
    execution = Execution(executor, jobs or 0, read_options(executor, name, options))
    executor.check(execution.jobs or executor.jobs, execution.options)
    return execution


class ThreadJob:
    """A job in a thread of this process, which waits for other processes."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._error = error

    def ended(self) -> bool:
        """Return whether the thread has ended; raises its error."""
        if self._thread.is_alive():
            return False
        if self._error is not None:
            raise self._error
        return True

    def stop(self) -> None:
        """Do nothing: the processes follow the stop of their session."""

    def details(self) -> str:
        """Name the log, which has the output of the processes."""
        return "see its log"

    def wait(self) -> None:
        """Wait until the thread has ended, and ignore its error."""
        self._thread.join()
