"""A process that works on one point of a sweep, on any machine with its folder: `python -m imgloc.sweeps.worker JSON`."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.config.schema import base
from imgloc.errors import UserError
from imgloc.sweeps import claims, folder
from imgloc.sweeps.claims import Claims
from imgloc.sweeps.executor import SweepStop
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point
from imgloc.sweeps.work import Plan, check_recipe, finish, in_processes
from imgloc.training.preemption import FOLLOW_STDIN, StopRequest

POLL_SECONDS = 0.5  # between looks at a claim of another process
Order = Mapping[str, Any]  # JSON


def order(plan: Plan, point: Point, environment: Mapping[str, str] | None = None) -> Order:
    """Return everything that a worker must know; paths are absolute, but for recipes that are names."""
    recipe = str(Path(plan.recipe).absolute()) if Path(plan.recipe).is_file() else plan.recipe
    return {
        "workdir": str(plan.sweep.path.absolute()), "recipe": recipe, "split": plan.split, "begun": plan.begun, "name": point.name,
        "identity": point.identity, "arguments": list(point.arguments), "folder": str(Path.cwd()), "environment": dict(environment or {}),
    }  # fmt: skip


class Worker:
    """A worker process of this machine. It ends when its standard input is closed, as when this process is killed."""

    def __init__(self, given: Order) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "imgloc.sweeps.worker", json.dumps(given)], cwd=given["folder"], stdin=subprocess.PIPE,
            env={**os.environ, FOLLOW_STDIN: "1"}, process_group=0,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._process.wait, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the worker has ended. This may be interrupted, and called by the handler of a signal."""
        self._thread.join()

    def stop(self) -> None:
        """Let the worker save its state, and wait until it has ended."""
        if self._process.stdin:
            self._process.stdin.close()
        self._thread.join()


def work(given: Order, stop: StopRequest) -> None:
    """Finish a point.

    Errors are written to the folder of the sweep. If a killed process on another machine held the claim, this waits until the
    claim expires.
    """
    plan = Plan(SweepDir(Path(given["workdir"])), given["recipe"], given["split"], given["begun"])
    point = Point({}, tuple(given["arguments"]), base(), given["identity"], given["name"], given["name"])
    try:
        check_recipe(plan.recipe, point)
    except UserError as error:
        folder.note_failure(plan.sweep, point, str(error))
        return
    point = dataclasses.replace(point, config=resolve(read_recipe(plan.recipe), point.arguments))
    seen, until = Claims(plan.sweep.notes), time.monotonic() + claims.LEASE_SECONDS + claims.BEAT_SECONDS
    while seen.next(point.identity) is None and time.monotonic() < until and not stop.requested:
        time.sleep(POLL_SECONDS)
    if not stop.requested:
        finish(plan, point, seen, SweepStop(stop), in_processes(given["environment"]))


def main(text: str) -> int:
    """Work on the point of an order; returns the exit code."""
    # Slurm announces a preemption by SIGUSR2 to all processes of a job; that of submitit passes it on.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    work(json.loads(text), StopRequest())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
