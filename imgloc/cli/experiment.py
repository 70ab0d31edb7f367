"""imgloc experiment"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imgloc.cli.parsers import add_execution_flags, check_rest

if TYPE_CHECKING:
    from imgloc.api.experimenting import Chosen
    from imgloc.training.preemption import StopRequest

HELP = "run an experiment: train its missing runs, gather them in results.json, and print its tables"
EXAMPLES = """\
FOLDER/experiment.py declares arms, seeds and tables. The runs are the points of a sweep in --workdir: finished ones are
kept, interrupted ones are resumed, and several of these commands with one --workdir share them. Gathered runs replace
those of the same arm and seed in FOLDER/results.json; the others stay.

examples:
  imgloc experiment experiments/scattered_digits --table
  imgloc experiment experiments/renet --arms 'localizer, *' --seeds 0
  imgloc experiment experiments/scattered_digits --executor in_process
  imgloc experiment experiments/photographs --folder tiny_imagenet=DIR --folder raccoon=DIR
  taskset -c 0 imgloc experiment experiments/renet --measure

exit codes: 0 all chosen runs are finished, or stopped by SIGTERM; 1 a run failed; 2 a mistake in the command or the
experiment; 130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this command."""
    add_choice(parser)
    parser.add_argument("--workdir", default="", metavar="DIR", help="folder of the runs (default: runs/NAME)")
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument("--table", action="store_true", help="print the tables of results.json and stop")
    actions.add_argument("--check", action="store_true", help="check the runs and print their names without training")
    actions.add_argument("--gather", action="store_true", help="gather the runs of --workdir without training, unfinished ones too")
    actions.add_argument("--measure", action="store_true", help="time the training step of each arm in turns; nothing else should run")
    actions.add_argument("--pictures", action="store_true", help="draw the pictures of the experiment")
    add_execution_flags(parser)
    parser.add_argument("--quiet", action="store_true", help="print tables and errors only, no progress")


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add what chooses an experiment, arms of it, seeds, and folders of data."""
    parser.add_argument("experiment", metavar="FOLDER", help="a folder with an experiment.py")
    parser.add_argument("--arms", nargs="+", default=[], metavar="ARM", help="names of arms, patterns, or how names begin (default: all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[], metavar="SEED", help="seeds of the arms (default: all)")
    text = "where a data set is (default: $IMGLOC_DATA/NAME); DIR alone where there is one"
    parser.add_argument("--folder", action="append", default=[], metavar="NAME=DIR", help=text)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Run the experiment, or the part of it that an option names."""
    check_rest(rest, "experiment")

    from imgloc.devices import runtime

    runtime.prepare()

    from rich.console import Console
    from rich.text import Text

    from imgloc.api import experimenting
    from imgloc.experiments import records, tables
    from imgloc.sweeps import folder
    from imgloc.sweeps.executor import open_execution
    from imgloc.training.preemption import StopRequest

    chosen = experimenting.choose(parsed.experiment, parsed.arms, parsed.seeds, parsed.folder)
    workdir = parsed.workdir or str(Path("runs") / chosen.place.absolute().name)
    console = Console(stderr=True, quiet=parsed.quiet)
    if parsed.table:
        print(tables.tables_text(chosen.experiment, records.read_results(chosen.place)))
    elif parsed.check:
        with console.status("checking") as status:
            names = experimenting.check(chosen, folder.open_sweep(workdir), lambda line: status.update(Text(line)))
        print("\n".join(names))
    elif parsed.pictures:
        print("\n".join(map(str, experimenting.draw(chosen, workdir))))
    elif parsed.measure:
        print(tables.tables_text(chosen.experiment, experimenting.measure(chosen)))
    elif parsed.gather:
        print(tables.tables_text(chosen.experiment, experimenting.gather(chosen, workdir)))
    else:
        execution = open_execution(parsed.executor, parsed.jobs, parsed.option)
        with StopRequest() as stop:
            failed = experimenting.train(chosen, chosen.points(), workdir, stop, console, execution)
        return end(chosen, workdir, failed, stop)
    return 0


def end(chosen: Chosen, workdir: str, failed: Mapping[str, str], stop: StopRequest) -> int:
    """Gather the runs, print the tables and the failed runs; returns the exit code."""
    from imgloc.api import experimenting
    from imgloc.experiments import tables

    if stop.requested:
        print(f"{workdir}: stopped, its state is saved. The same command resumes it")
        return 130 if stop.interrupted else 0
    print_failed(failed, workdir)
    print(tables.tables_text(chosen.experiment, experimenting.gather(chosen, workdir)))
    return int(bool(failed))


def print_failed(failed: Mapping[str, str], workdir: str) -> None:
    """Print a line on stderr for each failed run."""
    for name, error in failed.items():
        print(f"failed: {name}: {error}   log: {Path(workdir) / '.sweep' / name}.log", file=sys.stderr)
