"""imgloc train"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imgloc.cli.data_choice import several_objects
from imgloc.cli.processes import add_distributed
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.errors import UserError, WorkerError, storage_message

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from imgloc.evaluation.target import Target

HELP = "train a config in a run folder; the same command resumes an unfinished run"
EXAMPLES = """\
Every key of the config can be set: --config.optim.lr=1e-3 --config.seed=1 --config.data.image_size='(64, 64)'
imgloc/config/schema.py and the recipe list all keys with their defaults and meanings.

The same command resumes a run that was stopped (SIGTERM, Ctrl-C, a crash) from its latest checkpoint.
The run then ends with the same bits as if it had never stopped.

example:
  imgloc train --config configs/digits_cnn.py --workdir runs/a --config.optim.lr=1e-3
"""
PARTS = {"image": "annotated images", "box": "boxes"}  # by what a fault makes unusable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("--config", required=True, metavar="FILE", help="a recipe: a Python file with get_config()")
    parser.add_argument("--workdir", required=True, metavar="DIR", help="the run folder: a new one, or that of this run")
    parser.add_argument("--allow-faults", action="store_true", help="train although more annotations are unusable than data.max_unusable")
    parser.add_argument("--profile", action="store_true", help="write a trace of 10 steps to DIR/profile")
    add_distributed(parser)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Train. Returns 0, also after SIGTERM; 130 after Ctrl-C (the state is saved in both cases); 1 for an error of the run."""
    from imgloc.devices import runtime
    from imgloc.training.preemption import StopRequest

    if not parsed.workdir:
        raise UserError("--workdir is empty, expected a folder")
    stop = StopRequest()
    recipe = read_recipe(parsed.config)
    runtime.prepare()

    from imgloc.devices.multihost import connect_processes
    from imgloc.evaluation.target import after_training
    from imgloc.runs.run_dir import RunDir
    from imgloc.training.loop import train
    from imgloc.training.metric_queue import NonFiniteError

    config, folder = resolve(recipe, rest), parsed.workdir
    scoring = after_training(config, RunDir(Path(folder)))  # before training, because its data may be missing
    if parsed.distributed is not None:
        connect_processes(parsed.distributed)
    report_faults(config, parsed.config, rest, Path(folder), allow=parsed.allow_faults)
    try:
        outcome = train(config, folder, stop=stop, profile=parsed.profile)
    except NonFiniteError as error:
        print(f"imgloc train: {error}", file=sys.stderr)
        return 1
    except WorkerError as error:
        print(f"imgloc train: {error}. The same command resumes from the latest checkpoint", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"imgloc train: {storage_message(error)}; then the same command resumes from the latest checkpoint", file=sys.stderr)
        return 1
    next_command = f". Next: imgloc evaluate {folder}" if scoring is None else ""
    print(
        {
            "already finished": f"{folder} contains this run, finished; to train it again, choose another --workdir{next_command}",
            "finished": f"{folder}: finished{next_command}",
            "stopped": f"{folder}: stopped, its state is saved. The same command resumes it",
        }[outcome]
    )
    if scoring is not None and outcome != "stopped":
        score(folder, *scoring)
    return 130 if stop.interrupted and outcome == "stopped" else 0


def report_faults(config: ConfigDict, recipe: str, rest: Sequence[str], workdir: Path, *, allow: bool) -> None:
    """Report serious faults of the data on stderr, from the first process, where the source can check its data quickly.

    Raises UserError where a larger share of the annotations than `data.max_unusable` is unusable, unless `allow`.
    """
    import jax

    from imgloc.data.checks.dataset import check_data
    from imgloc.data.checks.faults import KINDS

    report = check_data(config.data, config.seed, thorough=False)
    if report is None:
        return
    command = shlex.join(["imgloc", "data", "check", "--config", recipe, *(a for a in rest if a.startswith("--config.data."))])
    share, worst = report.unusable
    if worst is not None and share > config.data.max_unusable and not allow:
        unusable = PARTS.get(KINDS[worst.kind].unusable)
        many = f"{share:.0%} of the {unusable} are unusable (data.max_unusable is {config.data.max_unusable:g}): " if unusable else ""
        raise UserError(
            f"{many}{worst.where}: {worst.what} - {KINDS[worst.kind].effect}; "
            f"correct the data (see: {command}), or add --allow-faults to train without them"
        )
    if jax.process_index() > 0:
        return
    if report.several:
        print(f"imgloc train: {several_objects(report.several, report.images, config.task)}", file=sys.stderr)
    options = config.data.options
    if (folder := str(options.get("folder") or "")) and workdir.resolve().is_relative_to(Path(folder).resolve()):
        print(f"imgloc train: '{workdir}' is inside the data folder; run folders there are not read as data", file=sys.stderr)
    if not report.serious:
        return
    count, first = len(report.serious), report.serious[0]
    kinds = ", ".join(f"{number} {kind}" for kind, number in Counter(fault.kind for fault in report.serious).items())
    part = "" if report.looked_at >= report.images else f" ({report.looked_at:,} of {report.images:,} image files were checked)"
    summary = f"{count:,} fault{'s' if count > 1 else ''} in the data{part}: {kinds}"
    print(f"imgloc train: {summary}; first: {first.where}: {first.what} - {KINDS[first.kind].effect}; see: {command}", file=sys.stderr)


def score(folder: str, target: Target, which: str) -> None:
    """Score a finished run as `imgloc evaluate` does, with all processes; the first one prints the table."""
    from imgloc.cli.evaluate import print_scores
    from imgloc.evaluation.evaluate import evaluate
    from imgloc.runs import run_dir

    run, config = run_dir.open_run(folder)
    intervals = evaluate(run, config, target, which=which)
    if intervals:
        print_scores(run, config, target.name, which, intervals)
