"""The journal of a run: metrics.jsonl, TensorBoard event files derived from it, and the progress line."""

from __future__ import annotations

import json
import math
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import numpy as np

from imgloc import files
from imgloc.rundir import RunDir


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The records of a metrics.jsonl: {"step", "kind": "train" or "validation", ...}; none where there is no file.

    Lines that are none (the last one, cut off by a kill) are left out.
    """
    if not path.exists():
        return []
    records: list[dict[str, Any]] = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int) and isinstance(record.get("kind"), str):
            records.append(record)
    return records


class Journal:
    """Appends records to metrics.jsonl and the event files.

    Opening at a step drops what was written past it, so that after a resume each step stands there once.
    """

    def __init__(self, run: RunDir, step: int, *, write: bool = True) -> None:
        self._path = run.metrics
        self.records = [record for record in read_journal(self._path) if record["step"] <= step]
        self._write = write  # of several processes one writes, all keep the records
        if not write:
            return
        files.write_text(self._path, "".join(json.dumps(record) + "\n" for record in self.records))
        # Event files cannot be cut, so they are written again from the records that stay.
        shutil.rmtree(run.events, ignore_errors=True)
        self._events = EventFile(run.events)
        for record in self.records:
            self._events.add(record)
        with files.naming(self._path):
            self._file: TextIO = self._path.open("a")

    def add(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """One line of metrics.jsonl; values that are not finite are written as null."""
        finite = {key: float(value) if math.isfinite(value) else None for key, value in values.items()}
        record = {"step": step, "kind": kind, **finite}
        self.records.append(record)
        if not self._write:
            return
        with files.naming(self._path):
            self._file.write(json.dumps(record) + "\n")
        self._events.add(record)

    def flush(self) -> None:
        """Everything added so far is in the files when this returns. Raises OSError, as all writing does, with the file's name."""
        if self._write:
            with files.naming(self._path):
                self._file.flush()
            self._events.flush()

    def validation(self, metric: str) -> list[float]:
        """A metric's values of every validation so far."""
        return [r[metric] for r in self.records if r["kind"] == "validation" and r.get(metric) is not None]

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if not self._write:
            return
        failed: OSError | None = None
        for close in (self._file.close, self._events.close):
            try:
                close()
            except OSError as error:
                failed = error
        if failed is not None and value is None:  # else what happened first is what is told
            raise OSError(failed.errno, failed.strerror, str(self._path)) from failed


class EventFile:
    """Scalars for TensorBoard, written as they come: tensorboardX's own writer has a thread, which dies in silence on a full disk."""

    def __init__(self, folder: Path) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import RecordWriter
        from tensorboardX.summary import scalar

        self._event, self._scalar = Event, scalar
        self._path = folder / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
        with files.naming(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = RecordWriter(str(self._path))
            self._write(file_version="brain.Event:2")

    def add(self, record: Mapping[str, Any]) -> None:
        """A record of the journal, its values under `kind/name`."""
        for key, value in record.items():
            if key not in ("step", "kind") and value is not None:
                self._write(step=record["step"], summary=self._scalar(f"{record['kind']}/{key}", value))

    def _write(self, **fields: Any) -> None:
        with files.naming(self._path):
            self._writer.write(self._event(wall_time=time.time(), **fields).SerializeToString())

    def flush(self) -> None:
        """Everything added so far is in the file when this returns."""
        with files.naming(self._path):
            self._writer.flush()

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


class NotFinite(Exception):
    """The loss, its gradient or the parameters stopped being numbers at a step."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


WATCHED = ("loss", "grad_norm")  # of every step; whatever else is not finite reaches one of them


class MetricQueue:
    """Metrics of every step on their way from the devices to the journal, so that the loop need not wait for a step to read its loss."""

    def __init__(self, journal: Journal, progress: Progress, log_every: int) -> None:
        self._journal, self._progress, self._log_every = journal, progress, log_every
        self._waiting: list[tuple[int, int, Mapping[str, Any]]] = []
        self._looked = 0  # how many of them were there at the last look

    def add(self, step: int, metrics: Mapping[str, Any], count: int = 1) -> None:
        """Metrics of the `count` steps that end with `step`, computed or still being computed: arrays of `count` or more, or scalars."""
        self._waiting.append((step, count, metrics))

    def __len__(self) -> int:
        return len(self._waiting)

    def look(self, *, wait: bool) -> None:
        """Look at every step that was added (without `wait`: before the last look), and log those of every `log_every`-th.

        Raises NotFinite with the first step that was not finite.
        """
        ready = len(self._waiting) if wait else self._looked
        looked_at, self._waiting = self._waiting[:ready], self._waiting[ready:]
        self._looked = len(self._waiting)
        for step, count, metrics in looked_at:
            logged = step % self._log_every == 0
            values = {name: _column(metrics[name], count) for name in metrics if logged or name in WATCHED}
            for place in range(count):
                bad = [f"{name} is {column[place]}" for name, column in values.items() if not math.isfinite(column[place])]
                if bad:
                    number = step - count + 1 + place
                    raise NotFinite(f"{', '.join(bad)} at step {number}, the first that is not finite", number)
            self._progress.loss(values["loss"][-1])
            if logged:
                self._journal.add(step, "train", {name: column[-1] for name, column in values.items()})


def _column(values: Any, count: int) -> list[float]:
    """Of an array of a call's steps, or the scalar of one."""
    column: list[float] = np.atleast_1d(np.asarray(values, np.float64))[:count].tolist()
    return column


class Progress:
    """Step, loss, images/s and time left: a bar on a terminal, else a plain line every `every` seconds; nothing unless `show`."""

    def __init__(self, start: int, steps: int, batch_size: int, *, every: float = 10.0, show: bool = True) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._steps, self._batch_size, self._every = steps, batch_size, every
        self._loss, self._begun, self._shown = float("nan"), time.monotonic(), 0.0
        self._first: int | None = None
        self._console = Console(file=sys.stderr, quiet=not show)
        self._bar: Progress | None = None
        self._show = show
        if show and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("training"), BarColumn(), MofNCompleteColumn(),
                TextColumn("loss {task.fields[loss]}"), TextColumn("{task.fields[speed]:,.0f} images/s"),
                TimeRemainingColumn(), TextColumn("left"), console=self._console,
            )  # fmt: skip
            self._task = self._bar.add_task("", total=steps, completed=start, loss=self._loss_text(), speed=0.0)
            self._bar.start()

    def advance(self, step: int) -> None:
        """`step` steps are done; the clock of the speed starts at the first, which compiles."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._begun, self._shown = step, now, now
        speed = self.images_per_second(step)
        if self._bar is not None:
            self._bar.update(self._task, completed=step, loss=self._loss_text(), speed=speed)
        elif now - self._shown >= self._every or step == self._steps:
            self._shown = now
            left = (self._steps - step) * self._batch_size / speed if speed > 0 else 0.0
            self.say(f"step {step}/{self._steps}  loss {self._loss_text()}  {speed:,.0f} images/s  {left:.0f} s left")

    def images_per_second(self, step: int) -> float:
        """Images per second since the first step of this process was done."""
        seconds = time.monotonic() - self._begun
        return (step - (self._first or step)) * self._batch_size / seconds if seconds > 0 else 0.0

    def _loss_text(self) -> str:
        return "-" if math.isnan(self._loss) else f"{self._loss:.4f}"

    def loss(self, value: float) -> None:
        """The loss to show from now on."""
        self._loss = value

    def say(self, line: str) -> None:
        """A line of its own above the bar."""
        if self._bar is not None:
            self._bar.console.print(line, highlight=False)
        elif self._show:
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
