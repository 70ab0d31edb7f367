"""Points on a Ray cluster: a running one by its address, or one of this machine that ends with the sweep."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imgloc.errors import UserError, reason
from imgloc.sweeps.executor import Executor, Session, Submit, stop_unfinished
from imgloc.sweeps.points import Point
from imgloc.sweeps.worker import Order, Worker, order

CANCEL_SECONDS = 120.0  # for canceled tasks to save their state and end


def run_worker(orders: Sequence[Order]) -> None:
    """Run a worker process for each order. Ray's cancellation raises KeyboardInterrupt here, and the worker saves its state."""
    for each in orders:
        worker = Worker(each)
        try:
            worker.wait()
        finally:
            worker.stop()


class RayJob:
    """A task of the cluster."""

    def __init__(self, reference: Any) -> None:
        self.reference = reference

    def ended(self) -> bool:
        """Return whether the task has ended, also where its node is gone."""
        import ray

        return bool(ray.wait([self.reference], timeout=0)[0])

    def stop(self) -> None:
        """Cancel the task."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError):
            ray.cancel(self.reference, force=False)

    def details(self) -> str:
        """Return the error of the task."""
        import ray

        try:
            ray.get(self.reference, timeout=0)
        except Exception as error:  # Ray raises several types; that of a task has the error of its function as the cause
            return reason(getattr(error, "cause", None) or error, lines=1)
        return "its task has no error"


@contextlib.contextmanager
def open_(session: Session) -> Iterator[Submit]:
    """Yields a function that submits points as tasks of a cluster. At the end it cancels those that run, and waits for them."""
    import ray

    options, jobs = session.options, []
    connected = ray.is_initialized()
    if not connected:
        try:
            ray.init(address=options.get("address"), log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False
                     if "address" not in options else None)  # fmt: skip
        except Exception as error:  # Ray raises several types
            raise UserError(f"cannot connect to the Ray cluster '{options.get('address', 'local')}': {reason(error, lines=1)}") from error
    # A task is not retried by Ray: the sweep submits its points again.
    task = ray.remote(num_cpus=float(options.get("cpus", 1)), num_gpus=float(options.get("gpus", 0)), max_retries=0)(run_worker)

    def submit(points: Sequence[Point]) -> RayJob:
        jobs.append(RayJob(task.remote([order(session.plan, point) for point in points])))
        return jobs[-1]

    try:
        yield submit
    finally:
        unfinished = stop_unfinished(jobs)
        if unfinished:
            ray.wait([job.reference for job in unfinished], num_returns=len(unfinished), timeout=CANCEL_SECONDS)
        if not connected:
            ray.shutdown()


def check(jobs: int, options: Mapping[str, str]) -> None:
    """Raise UserError where Ray is not installed, and for options that are not numbers of at least 0."""
    if importlib.util.find_spec("ray") is None:
        raise UserError("the executor ray needs Ray, which is not installed; run: pip install 'imgloc[ray]'")
    for key in ("cpus", "gpus"):
        with contextlib.suppress(ValueError):
            if float(options.get(key, 0)) >= 0:
                continue
        raise UserError(f"the option {key} of the executor ray must be a number of at least 0, got '{options[key]}'")


EXECUTOR = Executor(
    "tasks of a Ray cluster",
    open_, check=check,
    options={
        "address": "of a running cluster, such as auto or 10.0.0.1:6379 (default: RAY_ADDRESS, or a cluster of this machine)",
        "cpus": "CPUs that a point reserves (default: 1)", "gpus": "GPUs that a point reserves, or a part of one (default: 0)",
    },
)  # fmt: skip
