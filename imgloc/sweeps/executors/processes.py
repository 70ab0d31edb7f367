"""Points in new processes of this machine, `--jobs` at a time, which share its cores and divide its GPUs."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator, Mapping, Sequence

from imgloc.errors import UserError
from imgloc.sweeps.executor import Executor, Session, Submit, ThreadJob
from imgloc.sweeps.points import Point
from imgloc.sweeps.shares import Share, shares
from imgloc.sweeps.work import finish, in_processes


@contextlib.contextmanager
def open_(session: Session) -> Iterator[Submit]:
    """Yields a function that trains and scores points in processes, which a thread starts and waits for."""
    free: queue.SimpleQueue[Share] = queue.SimpleQueue()
    for share in shares(session.jobs, int(session.options.get("cores", 0))):
        free.put(share)
    jobs: list[ThreadJob] = []

    def submit(points: Sequence[Point]) -> ThreadJob:
        def work() -> None:
            share = free.get()
            try:
                share.apply_to_this_thread()
                for point in points:
                    finish(session.plan, point, session.claims, session.stop, in_processes(share.environment))
            finally:
                free.put(share)

        jobs.append(ThreadJob(work))
        return jobs[-1]

    try:
        yield submit
    finally:
        for job in jobs:
            job.wait()


def check(jobs: int, options: Mapping[str, str]) -> None:
    """Raise UserError for a number of cores that is not one, or that this machine does not have."""
    cores = options.get("cores", "1")
    if not cores.isdecimal() or int(cores) < 1:
        raise UserError(f"the option cores must be a whole number of at least 1, got '{cores}'")
    shares(jobs, int(options.get("cores", 0)))


EXECUTOR = Executor(
    "new processes of this machine, --jobs at a time, which share its cores and divide its GPUs",
    open_, jobs=1, check=check, options={"cores": "cores of each job, which no other job uses (default: all jobs use all cores)"},
)  # fmt: skip
