"""imgloc train"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from imgloc.errors import UserError, of_storage, one_line

HELP = "train a config in a run folder; the same command goes on with an unfinished run"
EXAMPLES = """\
Any key of the config can be set: --config.optim.lr=1e-3 --config.seed=1 --config.data.image_size='(64, 64)'
What there is to set, with its defaults and meanings, stands in imgloc/config.py and in the recipe.

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
    parser.add_argument(
        "--distributed",
        nargs="?",
        const="auto",
        metavar="HOST:PORT,COUNT,INDEX",
        help="this is one process of several; alone on Slurm and TPU VMs, with its place elsewhere (see README)",
    )


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Train; 0 also where a SIGTERM was obeyed, 130 where Ctrl-C was (the state is saved either way)."""
    from imgloc import config as configs
    from imgloc import runtime
    from imgloc.stop import StopRequest

    if not parsed.workdir:
        raise UserError("--workdir is empty; it wants a folder")
    stop = StopRequest()
    recipe = configs.read_recipe(parsed.config)
    runtime.prepare()

    from imgloc import build
    from imgloc.journal import NotFinite
    from imgloc.loop import train

    config = build.resolve(recipe, rest)
    if parsed.distributed is not None:
        join_processes(parsed.distributed)
    try:
        how = train(config, parsed.workdir, stop=stop, profile=parsed.profile)
    except NotFinite as error:
        print(f"imgloc train: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"imgloc train: {of_storage(error)}; then the same command goes on from the last whole checkpoint", file=sys.stderr)
        return 1
    folder = parsed.workdir
    print(
        {
            "already finished": f"{folder} holds this run, finished. Next: imgloc evaluate {folder}; to train anew: another --workdir",
            "finished": f"{folder}: finished. Next: imgloc evaluate {folder}",
            "stopped": f"{folder}: stopped, its state is saved. The same command goes on from there",
        }[how]
    )
    return 130 if stop.interrupted and how == "stopped" else 0


def join_processes(place: str) -> None:
    """Connect the processes of one run: `auto`, or `HOST:PORT,COUNT,INDEX` of this one."""
    import jax

    if place == "auto":
        try:
            jax.distributed.initialize()
        except (ValueError, RuntimeError) as error:
            found = one_line(error, lines=1)
            raise UserError(f"--distributed finds no cluster here ({found}); possible: --distributed=HOST:PORT,COUNT,INDEX") from error
        return
    address, count, index = [*place.split(","), "", ""][:3]
    if ":" not in address or not count.isdecimal() or not index.isdecimal() or int(index) >= int(count):
        raise UserError(f"--distributed wants HOST:PORT,COUNT,INDEX such as 10.0.0.1:1234,2,0; got '{place}'")
    jax.distributed.initialize(coordinator_address=address, num_processes=int(count), process_id=int(index))
