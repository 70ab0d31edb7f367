"""imgloc evaluate"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from imgloc.cli.console import console_for
from imgloc.cli.processes import add_distributed
from imgloc.config import build
from imgloc.config.resolve import resolve
from imgloc.config.task import make_task
from imgloc.errors import UserError
from imgloc.evaluation import predictors, scoring
from imgloc.evaluation.predictors import MODEL
from imgloc.evaluation.statistics import Interval
from imgloc.interfaces import Baseline, Task
from imgloc.runs.prediction_table import read_meta

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from imgloc.runs.run_dir import RunDir

HELP = "score a run on a split: rows, results.json with 95 % intervals, and a table beside the baselines"
EXAMPLES = """\
--config.data.KEY=VALUE with --name scores the run on other data; data on which it was trained is refused.
--config.model.KEY=VALUE with --name changes fields that change no parameter, such as num_rollouts of ram.
Rows and results are written to the run folder; those of --checkpoint last are called SPLIT@last. Current rows
(same config, checkpoint and data) are not made again.

examples:
  imgloc evaluate runs/a --split test
  imgloc evaluate runs/lstm --partial-predictions test-00012 test-00731 && imgloc report runs/lstm
  imgloc evaluate runs/a --name full --config.data.options.digits=idx --config.data.options.folder=MNIST
  imgloc evaluate runs/ram --name averaged --config.model.num_rollouts=10
"""
CAPTION = "value [95 % interval]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("run", metavar="RUN", help="a run folder")
    parser.add_argument("--split", default="test", help="train, validation or test (default)")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="best (on validation; default) or last")
    parser.add_argument("--name", default="", help="the name of other data or fields in rows and results")
    text = "save the partial predictions of these examples for the report (models that read an image in several steps)"
    parser.add_argument("--partial-predictions", nargs="+", action="extend", default=[], metavar="ID", help=text)
    add_distributed(parser)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Evaluate and print the table."""
    from imgloc.devices import runtime
    from imgloc.runs import run_dir

    folder, config = run_dir.open_run(parsed.run)
    runtime.prepare()

    from imgloc.config.overrides import override_keys
    from imgloc.devices.multihost import connect_processes
    from imgloc.evaluation.evaluate import evaluate
    from imgloc.evaluation.target import open_target

    other = None
    if rest:
        free = [f"model.{key}" for key in build.evaluation_fields(config.model.name)]
        foreign = [key for key in override_keys(rest) if key not in ("data.source", *free) and not key.startswith("data.options.")]
        if foreign:
            other_data = "--config.data.source and --config.data.options.KEY, to score on other data"
            possible = ", ".join([other_data, *(f"--config.{key}" for key in free)])
            raise UserError(f"'--config.{foreign[0]}' cannot change a trained run; possible: {possible}")
        other = resolve(config, rest)
        if not parsed.name:
            what = "a changed model field" if override_keys(rest)[0] in free else "other data"
            raise UserError(f"{what} needs a name for its rows and results; add --name NAME")
        if not parsed.name.isidentifier() or parsed.name.split("_")[-1] in ("best", "last"):
            raise UserError(f"--name is '{parsed.name}'; possible: letters, digits and _, not ending in best or last")
    elif parsed.name:
        raise UserError("--name is for other data or model fields; choose them with --config.data.KEY=VALUE or --config.model.KEY=VALUE")
    name = parsed.name if parsed.checkpoint == "best" else "_".join(filter(None, (parsed.name, parsed.checkpoint)))
    target = open_target(config, parsed.split, run=folder, other=other, name=name)
    if parsed.distributed is not None:  # what can be refused without the other processes was
        connect_processes(parsed.distributed)
    intervals = evaluate(folder, config, target, which=parsed.checkpoint, partial=parsed.partial_predictions)
    if intervals:  # of several processes only the first one prints
        print_scores(folder, config, target.name, parsed.checkpoint, intervals)
    return 0


def print_scores(run: RunDir, config: ConfigDict, name: str, which: str, intervals: Mapping[str, Mapping[str, Interval]]) -> None:
    """Print the table of a checkpoint on a target of this name, where its rows are, and the next command."""
    count = max((interval.n for interval in intervals[MODEL].values()), default=0)
    meta = read_meta(run.rows(name)) or {}
    skipped = f" ({meta['skipped']:,} skipped)" if meta.get("skipped") else ""
    fields = "".join(f", {key}={value}" for key, value in (meta.get("fields") or {}).items())
    print(f"{run.path}, {name}, {count:,} examples{skipped}, {which} checkpoint{fields}", flush=True)
    print_table(intervals, make_task(config), predictors.baselines(config.task))
    split = "" if name == "test" else f" --split {name}"
    print(f"rows: {run.rows(name)}   results: {run.results}   next: imgloc report {run.path}{split}")


def print_table(intervals: Mapping[str, Mapping[str, Interval]], task: Task, baselines: Mapping[str, Baseline]) -> None:
    """Print every whole metric with its interval, one column for each predictor; slices are in results.json and in the report."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    meanings = [f"{key}: {scoring.metric_of(key, task.metrics).meaning}" for key in task.headline_metrics if key in intervals[MODEL]]
    table = Table(caption="\n".join([CAPTION, *meanings]), box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.caption_justify = "left"
    table.add_column("metric", no_wrap=True)
    for name in intervals:
        table.add_column("this run" if name == MODEL else baselines[name].title, justify="right", no_wrap=True)
    for key in scoring.in_order(intervals[MODEL], task):
        cells = [scores.get(key) for scores in intervals.values()]
        table.add_row(key, *(f"{c.mean:.3f} [{c.low:.3f}, {c.high:.3f}]" if c else "" for c in cells))
    console_for(table, 120).print(table)
