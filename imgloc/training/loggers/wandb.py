"""Weights & Biases (https://docs.wandb.ai). Its environment variables choose the project (WANDB_PROJECT) and the mode (WANDB_MODE)."""

from __future__ import annotations

import os
from typing import Any

from imgloc.training.run_loggers import LoggedRun, Logger, Record, values

PACKAGE = "wandb"


def open_logger(run: LoggedRun) -> Logger:
    """Open the W&B run of a run folder; its files lie in `wandb` beside that folder, or in the folder that WANDB_DIR names.

    They do not lie in the run folder, because wandb makes symbolic links, which are refused there.
    """
    import wandb

    settings = wandb.Settings(console="off", save_code=False)
    directory = os.environ.get("WANDB_DIR", str(run.folder.parent))
    session = wandb.init(
        id=run.identity, resume="allow", name=run.name, config=dict(run.config), dir=directory, reinit="create_new", settings=settings
    )
    return _Session(session)


class _Session:
    def __init__(self, session: Any) -> None:
        self._session = session
        # Offline there is no run to continue: each session writes all records, and the latest one is complete.
        self._first_step = session.starting_step

    def add(self, record: Record) -> None:
        if record["step"] >= self._first_step:
            self._session.log(values(record), step=record["step"])

    def flush(self) -> None:
        """Nothing to do: a process of wandb sends what `log` gets."""

    def close(self) -> None:
        self._session.finish()
