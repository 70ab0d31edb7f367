"""Reads the progress of a point from its files."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imgloc.config.registry import declared
from imgloc.errors import UserError
from imgloc.evaluation.scoring import metric_of
from imgloc.interfaces import Task
from imgloc.runs.metrics_log import read_metrics
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps import folder
from imgloc.sweeps.claims import Claims
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point

PRINTED_STEP = re.compile(r"step ([\d,]+)/")  # in the lines that training prints


@dataclass(frozen=True)
class Progress:
    """The steps that are done, and the best value so far of the metric that chooses the checkpoint (NaN: none) on validation."""

    step: int = 0
    best: float = math.nan
    note: str = ""  # the last line of output


def progress(sweep: SweepDir, run: RunDir, point: Point) -> Progress:
    """Return the progress of a point with its run folder; an unreadable file counts as absent."""
    note, records = last_line(sweep.log(point)), []
    with contextlib.suppress(UserError, OSError):
        records = read_metrics(run.metrics)
    printed = PRINTED_STEP.search(note)
    steps = [record["step"] for record in records] + ([int(printed[1].replace(",", ""))] if printed else [])
    config = point.config
    metric = metric_of(config.train.best_metric, declared("tasks", config.task, Task).metrics)
    values = [record[metric.key] for record in records if record["kind"] == "validation" and record.get(metric.key) is not None]
    best = max(values, key=lambda value: metric.sign * value, default=math.nan)
    return Progress(max(steps, default=0), best, "" if note.startswith("$") else note)


def state(sweep: SweepDir, point: Point, split: str, claims: Claims, runs: Mapping[str, RunDir]) -> tuple[str, str]:
    """Return the state of a point that its files show, a name in `live.STATES`, and a note: its error, or the host that holds it.

    `runs` are those of `folder.runs_by_identity`, because a run folder may have another name than its point.
    """
    try:
        run = folder.run_of(sweep, point, runs)
        if folder.is_scored(run, point, split):
            return "finished", ""
        host = claims.holder(point.identity)
        error = folder.failure_since(sweep, point, 0)
        if host:
            return ("scoring" if folder.is_trained(run, point) else "training"), f"on {host}"
        return ("waiting", "") if error is None else ("failed", error)
    except UserError as error:  # its folder contains other files
        return "failed", str(error)


def latest_step(run: RunDir) -> int:
    """Return the step of the latest checkpoint, or -1."""
    with contextlib.suppress(OSError):
        return max((int(path.name) for path in run.checkpoints.iterdir() if path.name.isdecimal()), default=-1)
    return -1


def last_line(log: Path) -> str:
    """Return the last line of a file, or ""."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 2000))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
