"""Starts the way in which the model of a config is trained: by gradients or by a fit."""

from __future__ import annotations

from typing import Literal

from ml_collections import ConfigDict

from imgloc.config.build import fit_of
from imgloc.errors import UserError, WorkerError, one_line, storage_message
from imgloc.training import fit, loop, run_loggers, setup
from imgloc.training.metric_queue import NonFiniteError
from imgloc.training.preemption import Stop


def train(
    config: ConfigDict,
    workdir: str,
    *,
    stop: Stop,
    profile: bool = False,
    quiet: bool = False,
    stop_after: int = 0,
    opened: setup.Opened | None = None,
) -> Literal["already finished", "finished", "stopped"]:
    """Train a config in a run folder; see `loop.train` and `fit.train`."""
    run_loggers.check(config.loggers)
    if fit_of(config.model.name) is None:
        return loop.train(config, workdir, stop=stop, profile=profile, quiet=quiet, stop_after=stop_after, opened=opened)
    if stop_after:
        raise UserError(f"model '{config.model.name}' is fitted without steps; leave out --stop-after {stop_after}")
    return fit.train(config, workdir, stop=stop, profile=profile, quiet=quiet)


def error_line(error: NonFiniteError | WorkerError | OSError) -> str:
    """Return the error of a training in one line, with what to do."""
    if isinstance(error, OSError):
        return f"{storage_message(error)}; then the same command resumes from the latest checkpoint"
    return one_line(error)


def check(config: ConfigDict) -> None:
    """Build everything that a config names. Raises UserError for parts that do not fit together; writes nothing."""
    run_loggers.check(config.loggers)
    if fit_of(config.model.name) is not None:
        fit.set_up(config)
        return
    parts = setup.set_up(config)
    if config.train.init_from or config.model.pretrained:
        setup.initial_state(config, parts)
