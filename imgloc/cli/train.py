"""imgloc train"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imgloc.cli.evaluate import print_scores
from imgloc.cli.parsers import add_output_flags
from imgloc.cli.processes import add_distributed
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.errors import UserError, WorkerError
from imgloc.runs.run_dir import RunDir

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from imgloc.api.training import Trained
    from imgloc.training.preemption import StopRequest

HELP = "train a config in a run folder; the same command resumes an unfinished run"
EXAMPLES = """\
A recipe is a Python file of yours, or one of the recipes that come with imgloc, by its name: --config digits_cnn
Every key of the config can be set: --config.optim.lr=1e-3 --config.seed=1 --config.data.image_size='(64, 64)'
imgloc/config/schema.py and the recipe list all keys with their defaults and meanings.

The same command resumes a run that was stopped (SIGTERM, Ctrl-C, a crash) from its latest checkpoint.
The run then ends with the same bits as if it had never stopped.

examples:
  imgloc train --config digits_cnn --workdir runs/a --config.optim.lr=1e-3
  imgloc train --config mine.py --workdir runs/mine --config.data.options.folder=photos/

exit codes: 0 finished, or stopped by SIGTERM; 1 training failed; 2 a mistake in the command, the config or the data;
130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("--config", required=True, metavar="RECIPE", help="a Python file with get_config(), or a recipe's name (see below)")
    add_training_flags(parser)


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of commands that train a run."""
    parser.add_argument("--workdir", required=True, metavar="DIR", help="the run folder: a new one, or that of this run")
    parser.add_argument("--allow-faults", action="store_true", help="train although more annotations are unusable than data.max_unusable")
    parser.add_argument("--stop-after", type=int, default=0, metavar="STEP", help="stop after this step, with the state saved")
    parser.add_argument("--profile", action="store_true", help="write a trace of 10 steps to DIR/profile")
    add_output_flags(parser)
    add_distributed(parser)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Train a recipe; see `train`."""
    from imgloc.devices import runtime
    from imgloc.training.preemption import StopRequest

    stop = StopRequest()
    recipe = read_recipe(parsed.config)
    runtime.prepare()
    data_flags = [argument for argument in rest if argument.startswith("--config.data.")]
    check_command = shlex.join(["imgloc", "data", "check", "--config", parsed.config, *data_flags])
    return train(parsed, lambda: resolve(recipe, rest), stop, check_command)


def train(parsed: argparse.Namespace, make_config: Callable[[], ConfigDict], stop: StopRequest, check_command: str) -> int:
    """Train a config in --workdir. `check_command` checks its data.

    Returns 0, also after SIGTERM; 130 after Ctrl-C (the state is saved in both cases); 1 for an error of the run.
    """
    if not parsed.workdir:
        raise UserError("--workdir is empty, expected a folder")

    import jax

    from imgloc.api import training
    from imgloc.devices.multihost import connect_processes
    from imgloc.training import start
    from imgloc.training.metric_queue import NonFiniteError
    from imgloc.training.progress import reader_may_end

    name = f"imgloc {parsed.command}"
    config, folder, place = make_config(), parsed.workdir, parsed.distributed

    def note(line: str) -> None:
        with reader_may_end(sys.stderr):
            print(f"{name}: {line}", file=sys.stderr)

    try:
        trained = training.run(
            config, Path(folder), stop=stop, allow_faults=parsed.allow_faults, profile=parsed.profile, quiet=parsed.quiet,
            stop_after=parsed.stop_after, note=note,
            check_command=check_command,
            connect=(lambda: None) if place is None else lambda: connect_processes(place),
        )  # fmt: skip
    except (NonFiniteError, WorkerError, OSError) as error:
        print(f"{name}: {start.error_line(error)}", file=sys.stderr)
        return 1
    if jax.process_index() == 0:
        with reader_may_end(sys.stdout):
            report(parsed, config, trained)
    return 130 if stop.interrupted and trained.outcome == "stopped" else 0


def report(parsed: argparse.Namespace, config: ConfigDict, trained: Trained) -> None:
    """Print how the training ended, and the table of the scores after it."""
    from imgloc.evaluation.scoring import as_json

    folder = parsed.workdir
    if parsed.json:
        scores = {predictor: as_json(scores) for predictor, scores in trained.intervals.items()}
        print(json.dumps({"run": folder, "outcome": trained.outcome, "split": trained.split or None, "results": scores}))
        return
    next_command = "" if trained.intervals else f". Next: imgloc evaluate {folder}"
    lines = {
        "already finished": f"{folder} contains this run, finished; to train it again, choose another --workdir{next_command}",
        "finished": f"{folder}: finished{next_command}",
        "stopped": f"{folder}: stopped, its state is saved. The same command resumes it",
    }
    if not parsed.quiet:
        print(lines[trained.outcome])
    if trained.intervals:
        print_scores(RunDir(Path(folder)), config, trained.split, trained.checkpoint, trained.intervals)
