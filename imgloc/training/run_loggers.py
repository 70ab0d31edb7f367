"""Loggers: services to which a run also sends its log, named in `config.loggers`. None of them can end the training.

A logger is one file in imgloc/training/loggers with `open_logger(LoggedRun)`, which imports its package and returns a `Logger`.
"""

from __future__ import annotations

import importlib.util
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from imgloc import files
from imgloc.config import schema as configs
from imgloc.config.build import member
from imgloc.config.overrides import flat
from imgloc.config.registry import find
from imgloc.errors import UserError, reason
from imgloc.runs.run_dir import RunDir

#: A line of metrics.jsonl: `step`, `kind` ("train" or "validation") and the value of each metric, None where it is not finite.
Record: TypeAlias = Mapping[str, Any]


class Logger(Protocol):
    """Receives the records of a run in the order of their steps. Any error of a method ends this logger alone."""

    def add(self, record: Record) -> None:
        """Log a record. After a resume every record so far comes again: those that the service already has are left out."""

    def flush(self) -> None:
        """Send everything added so far, where `add` does not."""

    def close(self) -> None:
        """Send the rest and end the session; a later session continues the same logged run."""


@dataclass(frozen=True)
class LoggedRun:
    """What a logger needs to know about a run."""

    identity: str  # 32 hex digits, the same in every session of the run
    name: str  # of the run folder, and of the folder that it is in
    folder: Path  # the run folder
    config: Mapping[str, Any]  # the value of each dotted key

    @property
    def unique_name(self) -> str:
        """A name for services that identify runs by their names."""
        return f"{self.name} {self.identity[:8]}"


def values(record: Record) -> dict[str, float]:
    """Return the finite values of a record by the name `kind/metric`, as TensorBoard has them."""
    return {f"{record['kind']}/{key}": value for key, value in record.items() if key not in ("step", "kind") and value is not None}


def check(names: Sequence[str]) -> None:
    """Raise UserError for loggers that do not exist, and for those whose package is not installed."""
    for name in names:
        needs = getattr(find("training.loggers", name), "PACKAGE", "")
        if needs and importlib.util.find_spec(needs) is None:
            raise UserError(f"logger '{name}' needs the package {needs}; pip install 'imgloc[{needs}]'")


def open_loggers(names: Sequence[str], run: RunDir) -> Loggers:
    """Open the loggers of a run."""
    loggers = Loggers()
    if names:
        logged = _logged_run(run)
        for name in names:
            loggers.open(name, logged)
    return loggers


def _logged_run(run: RunDir) -> LoggedRun:
    """Return what loggers need to know; the identity is stored before any logger opens, so that a killed run keeps it."""
    if not run.loggers.is_file():
        files.write_json(run.loggers, {"identity": uuid.uuid4().hex})
    path = run.path.absolute()
    config = flat(configs.identity(run.read(run.config)))
    return LoggedRun(run.read(run.loggers)["identity"], f"{path.parent.name}/{path.name}", path, config)


class Loggers:
    """The open loggers of a run. A logger that raises is reported on standard error and left out from then on."""

    def __init__(self) -> None:
        self._open: dict[str, Logger] = {}

    def open(self, name: str, run: LoggedRun) -> None:
        """Open a logger by its name."""

        def add() -> None:
            self._open[name] = member("training.loggers", name, "open_logger")(run)

        self._attempt(name, add)

    def add(self, record: Record) -> None:
        """Send a record to every logger."""
        for name, logger in list(self._open.items()):
            self._attempt(name, lambda logger=logger: logger.add(record))  # type: ignore[misc]

    def flush(self) -> None:
        """Make every logger send what it has."""
        for name, logger in list(self._open.items()):
            self._attempt(name, logger.flush)

    def close(self) -> None:
        """Close every logger."""
        for name, logger in list(self._open.items()):
            self._attempt(name, logger.close)
        self._open.clear()

    def _attempt(self, name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except (Exception, SystemExit) as error:  # a service may raise anything
            self._open.pop(name, None)
            sys.stderr.write(f"logger '{name}' fails, and the run goes on without it: {reason(error, lines=1)}\n")
