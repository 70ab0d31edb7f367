"""trackio (https://huggingface.co/docs/trackio): a SQLite file on this machine, and a dashboard (`trackio show`); no account.

TRACKIO_DIR chooses the folder of its files, and TRACKIO_PROJECT the project.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from imgloc.training.run_loggers import LoggedRun, Logger, Record, values

PACKAGE = "trackio"


def open_logger(run: LoggedRun) -> Logger:
    """Open the trackio run of a run folder in the project that TRACKIO_PROJECT names, else `imgloc`."""
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    project = os.environ.get("TRACKIO_PROJECT", "imgloc")
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for results
        session = trackio.init(project=project, name=run.unique_name, config=dict(run.config), resume="allow", embed=False)
    logged = {(entry.get("step"), name) for entry in SQLiteStorage.get_logs(project, run.unique_name) for name in entry}
    return _Session(session, logged)


class _Session:
    def __init__(self, session: Any, logged: set[tuple[int | None, str]]) -> None:
        self._session, self._logged = session, logged

    def add(self, record: Record) -> None:
        new = {name: value for name, value in values(record).items() if (record["step"], name) not in self._logged}
        if new:  # training and validation of one step are two records
            self._session.log(new, step=record["step"])

    def flush(self) -> None:
        """Nothing to do: a thread of trackio writes what `log` gets."""

    def close(self) -> None:
        with contextlib.redirect_stdout(sys.stderr):
            self._session.finish()
