"""Writes the log of a run: metrics.jsonl, TensorBoard event files with the same values, and the loggers of the config."""

from __future__ import annotations

import json
import math
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO

from imgloc import files
from imgloc.errors import UserError
from imgloc.runs.metrics_log import read_metrics
from imgloc.runs.run_dir import RunDir
from imgloc.training.run_loggers import Record, open_loggers, values


class MetricWriter:
    """Appends records to metrics.jsonl and to the event files.

    Opening it at a step removes the records of later steps, so that after a resume the files contain each step once.
    """

    def __init__(
        self, run: RunDir, step: int, *, intervals: Mapping[str, int] | None = None, write: bool = True, loggers: Sequence[str] = ()
    ) -> None:
        """`intervals` has the steps between records of each kind up to `step`; a missing record raises UserError.

        `loggers` are names of files in imgloc/training/loggers; every record is also sent to them.
        """
        self._path = run.metrics
        self.records: list[Record] = [record for record in read_metrics(self._path) if record["step"] <= step]
        self._check_complete(intervals, step)
        self._write = write  # only the first of several processes writes; all keep the records
        if not write:
            return
        files.write_text(self._path, "".join(json.dumps(record) + "\n" for record in self.records))
        # Records cannot be removed from event files, so these are written again.
        shutil.rmtree(run.events, ignore_errors=True)
        self._events = EventFile(run.events)
        with files.errors_naming(self._path):
            self._file: TextIO = self._path.open("a")
        self._loggers = open_loggers(loggers, run)
        for record in self.records:
            self._events.add(record)
            self._loggers.add(record)

    def _check_complete(self, intervals: Mapping[str, int] | None, step: int) -> None:
        """Early stopping and the best model depend on every validation, and a curve with a gap would be another one."""
        recorded = {(record["kind"], record["step"]) for record in self.records}
        for kind, interval in (intervals or {}).items():
            for expected in range(interval, step + 1, interval) if interval else ():
                if (kind, expected) not in recorded:
                    raise UserError(
                        f"'{self._path}' lacks the {kind} record of step {expected}, but the checkpoint is of step {step}; "
                        "restore the file, or train again with another --workdir"
                    )

    def add(self, step: int, kind: str, metrics: Mapping[str, float]) -> None:
        """Append one record; values that are not finite become null."""
        finite = {key: float(value) if math.isfinite(value) else None for key, value in metrics.items()}
        record = {"step": step, "kind": kind, **finite}
        self.records.append(record)
        if not self._write:
            return
        with files.errors_naming(self._path):
            self._file.write(json.dumps(record) + "\n")
        self._events.add(record)
        self._loggers.add(record)

    def flush(self) -> None:
        """Write everything added so far to the files. Raises OSError with the name of the file, as all writing does."""
        if self._write:
            with files.errors_naming(self._path):
                self._file.flush()
            self._events.flush()
            self._loggers.flush()

    def __enter__(self) -> MetricWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if not self._write:
            return
        self._loggers.close()
        failed: OSError | None = None
        for close in (self._file.close, self._events.close):
            try:
                close()
            except OSError as error:
                failed = error
        if failed is not None and value is None:  # otherwise the first error is the one to report
            raise OSError(failed.errno, failed.strerror, str(self._path)) from failed


class EventFile:
    """A TensorBoard event file. tensorboardX's own writer has a thread, which silently ends when the disk is full."""

    def __init__(self, folder: Path) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import RecordWriter
        from tensorboardX.summary import scalar

        self._event, self._scalar = Event, scalar
        self._path = folder / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
        with files.errors_naming(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = RecordWriter(str(self._path))
            self._write(file_version="brain.Event:2")

    def add(self, record: Record) -> None:
        """Write the values of a record under the tags `kind/name`."""
        for name, value in values(record).items():
            self._write(step=record["step"], summary=self._scalar(name, value))

    def _write(self, **fields: object) -> None:
        with files.errors_naming(self._path):
            self._writer.write(self._event(wall_time=time.time(), **fields).SerializeToString())

    def flush(self) -> None:
        """Write everything added so far to the file."""
        with files.errors_naming(self._path):
            self._writer.flush()

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()
