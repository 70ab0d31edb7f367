"""Points as jobs of Slurm, submitted by submitit. A preempted job saves its state, is put back into the queue, and resumes."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imgloc.errors import UserError, one_line
from imgloc.sweeps.executor import Executor, Session, Submit, stop_unfinished
from imgloc.sweeps.points import Point
from imgloc.sweeps.worker import Order, Worker, order

QUERY_SECONDS = 5.0  # between questions to Slurm
CANCEL_SECONDS = 120.0  # for canceled jobs to save their state and end
MAX_TIMEOUTS = 1000  # of a job at its time limit, each of which saves its state and resumes
DEFAULTS: Mapping[str, Any] = {"time": 60, "job_name": "imgloc", "use_srun": True}


@dataclass
class Task:
    """What a job of Slurm calls. submitit calls `checkpoint` when Slurm announces that the job ends, then puts it into the queue again."""

    orders: Sequence[Order]
    _running: list[Worker] = field(default_factory=list)

    def __call__(self) -> None:
        for each in self.orders:
            self._running = [Worker(each)]
            self._running[0].wait()

    def checkpoint(self) -> Any:
        """Let the worker save its state; returns what the job does when it starts again."""
        from submitit.helpers import DelayedSubmission

        for worker in self._running:
            worker.stop()
        return DelayedSubmission(Task(self.orders))


class Queue:
    """The jobs that Slurm has not ended, as `squeue` lists them."""

    def __init__(self) -> None:
        self._asked, self._present = -QUERY_SECONDS, set[str]()

    def has(self, job: str, submitted: float) -> bool:
        """Return whether a job waits or runs. It was submitted at a time of `time.monotonic`."""
        if time.monotonic() - self._asked >= QUERY_SECONDS or submitted > self._asked:
            listed = subprocess.run(["squeue", "--noheader", "--me", "--format=%A"], capture_output=True, text=True, check=False)
            if listed.returncode:  # Slurm's controller may be away for a while
                return True
            self._asked, self._present = time.monotonic(), set(listed.stdout.split())
        return job in self._present


class SlurmJob:
    """A job of Slurm."""

    def __init__(self, name: str, queue: Queue, errors: str) -> None:
        self._name, self._queue, self._errors, self._submitted = name, queue, errors, time.monotonic()

    def ended(self) -> bool:
        """Return whether Slurm has ended the job; a job that was put back into the queue has not ended."""
        return not self._queue.has(self._name, self._submitted)

    def stop(self) -> None:
        """Cancel the job: Slurm sends SIGTERM to its processes, and they save their state."""
        subprocess.run(["scancel", self._name], capture_output=True, check=False)

    def details(self) -> str:
        """Name the file to which Slurm writes the errors of the job."""
        return f"see '{self._errors}'"


@contextlib.contextmanager
def open_(session: Session) -> Iterator[Submit]:
    """Yields a function that submits points as jobs. At the end it cancels those that wait or run."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    executor, queue, jobs = _executor(session), Queue(), list[SlurmJob]()

    def submit(points: Sequence[Point]) -> SlurmJob:
        try:
            job = executor.submit(Task([order(session.plan, point) for point in points]))
        except (FailedJobError, FailedSubmissionError) as error:  # of sbatch, and of its output
            raise UserError(f"Slurm refuses the job: {one_line(error)}") from error
        jobs.append(SlurmJob(job.job_id, queue, str(job.paths.stderr)))
        return jobs[-1]

    try:
        yield submit
    finally:
        unfinished = stop_unfinished(jobs)
        until = time.monotonic() + CANCEL_SECONDS
        while not all(job.ended() for job in unfinished) and time.monotonic() < until:
            time.sleep(1)


def _executor(session: Session) -> Any:
    import submitit

    executor = submitit.SlurmExecutor(session.plan.sweep.notes.absolute() / "slurm", max_num_timeout=MAX_TIMEOUTS)
    executor.update_parameters(**parameters(session.options))
    return executor


def parameters(options: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters of submitit: whole numbers are numbers."""
    return {**DEFAULTS, **{key: int(value) if value.isdecimal() else value for key, value in options.items()}}


def check(jobs: int, options: Mapping[str, str]) -> None:
    """Raise UserError where submitit or Slurm is missing, and for options that submitit does not know."""
    if importlib.util.find_spec("submitit") is None:
        raise UserError("the executor slurm needs submitit, which is not installed; run: pip install 'imgloc[slurm]'")
    if shutil.which("sbatch") is None or shutil.which("squeue") is None:
        raise UserError("the executor slurm needs the commands of Slurm (sbatch, squeue), which are not found; possible: on a login node")
    import submitit

    try:
        submitit.SlurmExecutor("unused").update_parameters(**parameters(options))
    except (ValueError, TypeError) as error:
        raise UserError(f"an option of the executor slurm is refused by submitit: {one_line(error, lines=1)}") from error


EXECUTOR = Executor(
    "jobs of Slurm, submitted by submitit",
    open_, check=check,
    options={
        "partition": "of Slurm", "time": "limit of a job in minutes; a point that takes longer is resumed (default: 60)",
        "cpus_per_task": "CPUs of a job", "gpus_per_node": "GPUs of a job", "mem": "memory of a job, such as 8GB",
        "signal_delay_s": "seconds before the limit at which a job saves its state (default: 90)",
        "*": "any other parameter of submitit's SlurmExecutor, such as account or qos",
    },
)  # fmt: skip
