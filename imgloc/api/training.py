"""Training in Python, as `imgloc train` does it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import jax
from ml_collections import ConfigDict

from imgloc.config.resolve import resolve
from imgloc.evaluation.evaluate import evaluate
from imgloc.evaluation.statistics import Interval
from imgloc.evaluation.target import after_training
from imgloc.runs.run_dir import RunDir, open_run, run_state
from imgloc.training import start
from imgloc.training.data_faults import training_notes
from imgloc.training.preemption import StopRequest

Outcome = Literal["already finished", "finished", "stopped"]
CHECK_COMMAND = "imgloc.check_data(config)"


@dataclass(frozen=True)
class Trained:
    """How a training ended, and the scores after it where the config has `eval.after_training`."""

    outcome: Outcome
    split: str = ""  # the name of what was scored: test, or test@last
    checkpoint: str = ""
    intervals: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)


def train(config: ConfigDict, workdir: str | Path, *, allow_faults: bool = False, profile: bool = False, quiet: bool = False) -> Outcome:
    """Train a config in a run folder, from the start or from the latest checkpoint.

    `config` comes from `load_config`; it is checked again, because it may have been changed. Faults of the data are warnings; more of
    them than `data.max_unusable` are refused unless `allow_faults`. `profile` writes a trace of ten steps to `workdir/profile`, and
    `quiet` prints no progress. Where the config has `eval.after_training`, the run is scored too.

    Returns 'finished', 'already finished' where the folder contains this run, finished, or 'stopped' after SIGTERM. After Ctrl-C the
    state is saved and KeyboardInterrupt is raised. The same call then resumes. Raises UserError for a config that cannot be trained
    and for a folder that contains anything else, and NonFiniteError where the loss is not finite.
    """
    with StopRequest() as stop:
        trained = run(
            resolve(config), Path(workdir), stop=stop, allow_faults=allow_faults, profile=profile, quiet=quiet,
            note=lambda line: warnings.warn(line, stacklevel=4), check_command=CHECK_COMMAND,
        )  # fmt: skip
    if stop.interrupted:
        raise KeyboardInterrupt
    return trained.outcome


def run(
    config: ConfigDict,
    workdir: Path,
    *,
    stop: StopRequest,
    allow_faults: bool,
    profile: bool,
    quiet: bool,
    note: Callable[[str], None],
    check_command: str,
    stop_after: int = 0,
    connect: Callable[[], None] = lambda: None,
) -> Trained:
    """Train and score a complete config.

    `connect` connects the processes of the run, after everything that can be refused without the others. The first of them calls
    `note` with each line about the data.
    """
    run_state(RunDir(workdir), config)  # refuses the folder of another run
    scoring = after_training(config, RunDir(workdir))  # before training, because its data may be missing
    connect()
    for line in training_notes(config, workdir, allow_faults=allow_faults, command=check_command):
        if jax.process_index() == 0:
            note(line)
    outcome = start.train(config, str(workdir), stop=stop, profile=profile, quiet=quiet, stop_after=stop_after)
    if scoring is None or outcome == "stopped" or stop.requested:
        return Trained(outcome)
    stop.release()  # scoring has no state to save: a signal ends it
    target, which = scoring
    return Trained(outcome, target.name, which, evaluate(*open_run(str(workdir)), target, which=which))
