"""imgloc train"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imgloc.cli.processes import add_distributed
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.data.checks.dataset import check_data
from imgloc.errors import UserError, of_storage

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from imgloc.evaluation.target import Target

HELP = "train a config in a run folder; the same command goes on with an unfinished run"
EXAMPLES = """\
Any key of the config can be set: --config.optim.lr=1e-3 --config.seed=1 --config.data.image_size='(64, 64)'
What there is to set, with its defaults and meanings, stands in imgloc/config/schema.py and in the recipe.

A run that was stopped (SIGTERM, Ctrl-C, a crash) goes on from its last checkpoint with the
same command and ends with the same bits as if it had never stopped.

example:
  imgloc train --config configs/digits_cnn.py --workdir runs/a --config.optim.lr=1e-3
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("--config", required=True, metavar="FILE", help="a recipe: a Python file with get_config()")
    parser.add_argument("--workdir", required=True, metavar="DIR", help="the run folder, new or holding this very run")
    parser.add_argument("--profile", action="store_true", help="write a trace of 10 steps to DIR/profile")
    add_distributed(parser)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Train; 0 also where a SIGTERM was obeyed, 130 where Ctrl-C was (the state is saved either way)."""
    from imgloc.devices import runtime
    from imgloc.training.preemption import StopRequest

    if not parsed.workdir:
        raise UserError("--workdir is empty; it wants a folder")
    stop = StopRequest()
    recipe = read_recipe(parsed.config)
    runtime.prepare()

    from imgloc.devices.multihost import join
    from imgloc.evaluation.target import after_training
    from imgloc.runs.run_dir import RunDir
    from imgloc.training.loop import train
    from imgloc.training.metric_queue import NotFinite

    config = resolve(recipe, rest)
    then = after_training(config, RunDir(Path(parsed.workdir)))  # before training: its data may not be there
    if parsed.distributed is not None:
        join(parsed.distributed)
    tell_of_faults(config, parsed.config, rest)
    try:
        how = train(config, parsed.workdir, stop=stop, profile=parsed.profile)
    except NotFinite as error:
        print(f"imgloc train: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"imgloc train: {of_storage(error)}; then the same command goes on from the last whole checkpoint", file=sys.stderr)
        return 1
    folder = parsed.workdir
    following = f". Next: imgloc evaluate {folder}" if then is None else ""
    print(
        {
            "already finished": f"{folder} holds this run, finished; to train anew: another --workdir{following}",
            "finished": f"{folder}: finished{following}",
            "stopped": f"{folder}: stopped, its state is saved. The same command goes on from there",
        }[how]
    )
    if then is not None and how != "stopped":
        score(folder, *then)
    return 130 if stop.interrupted and how == "stopped" else 0


def tell_of_faults(config: ConfigDict, recipe: str, rest: Sequence[str]) -> None:
    """Say on stderr, by the first process, what is seriously wrong with the data, where its source can tell that quickly."""
    import jax

    from imgloc.data.checks.faults import KINDS

    found = check_data(config.data, config.seed, thorough=False) if jax.process_index() == 0 else None
    if found is None or not found.serious:
        return
    count, first = len(found.serious), found.serious[0]
    kinds = ", ".join(f"{of_kind} {kind}" for kind, of_kind in Counter(fault.kind for fault in found.serious).items())
    part = "" if found.looked_at >= found.images else f" ({found.looked_at:,} of {found.images:,} image files were looked at)"
    command = shlex.join(["imgloc", "data", "check", "--config", recipe, *(a for a in rest if a.startswith("--config.data."))])
    told = f"{count:,} fault{'s' if count > 1 else ''} in the data{part}: {kinds}"
    example = f"{first.where}: {first.what} - {KINDS[first.kind].effect}"
    print(f"imgloc train: {told}; first: {example}; see: {command}", file=sys.stderr)


def score(folder: str, target: Target, which: str) -> None:
    """Score a finished run as `imgloc evaluate` does, by all processes together; the first one prints its table."""
    from imgloc.cli.evaluate import print_scores
    from imgloc.evaluation.evaluate import evaluate
    from imgloc.runs import run_dir

    run, config = run_dir.open_run(folder)
    found = evaluate(run, config, target, which=which)
    if found:
        print_scores(run, config, target.name, which, found)
