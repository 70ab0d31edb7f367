"""imgloc evaluate"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from imgloc.cli.processes import add_distributed
from imgloc.config.resolve import resolve
from imgloc.errors import UserError
from imgloc.evaluation.statistics import Interval
from imgloc.runs.prediction_table import PREDICTORS, read_meta

if TYPE_CHECKING:
    from imgloc.runs.run_dir import RunDir

HELP = "score a run on a split: per-example rows, results.json with 95 % intervals, a table beside the baselines"
EXAMPLES = """\
--config.data.KEY=VALUE with --name scores the run on other data; data it was trained on is refused.
--config.model.KEY=VALUE with --name changes how a trained model answers, where its model says so: draws of ram.
Rows and results lie in the run folder; those of --checkpoint last under SPLIT@last. Rows that are
current (same config, checkpoint and data) are not made again.

examples:
  imgloc evaluate runs/a --split test
  imgloc evaluate runs/lstm --steps test-00012 test-00731 && imgloc report runs/lstm
  imgloc evaluate runs/a --name full --config.data.options.digits=idx --config.data.options.folder=MNIST
  imgloc evaluate runs/ram --name averaged --config.model.draws=10
"""
NAMES = dict(zip(PREDICTORS, ("this run", "whole-image box", "median box"), strict=True))
CAPTION = "mean [95 % interval]; top1: class right"
CAPTION_OF_BOXES = "gt_known_50: box right (IoU at least .5); top1_loc_50: both right"
CAPTION_OF_LOOKS = "look_hits: share of looks whose centres lie in a true box; last_look_hit: the last one's does"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("run", metavar="RUN", help="a run folder")
    parser.add_argument("--split", default="test", help="train, validation or test (default)")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="best (on validation; default) or last")
    parser.add_argument("--name", default="", help="what to call other data than the run's own in rows and results")
    text = "examples whose answer the report is to show as it forms, of a model that reads step by step"
    parser.add_argument("--steps", nargs="+", action="extend", default=[], metavar="ID", help=text)
    add_distributed(parser)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Evaluate and print the table."""
    from imgloc.devices import runtime
    from imgloc.runs import run_dir

    folder, config = run_dir.open_run(parsed.run)
    runtime.prepare()

    from imgloc.config import build
    from imgloc.config.overrides import override_keys
    from imgloc.devices.multihost import join
    from imgloc.evaluation.evaluate import evaluate
    from imgloc.evaluation.target import open_target

    other = None
    if rest:
        free = [f"model.{key}" for key in build.changeable(config.model.name)]
        foreign = [key for key in override_keys(rest) if key not in ("data.source", *free) and not key.startswith("data.options.")]
        if foreign:
            other_data = "--config.data.source and --config.data.options.KEY, to score on other data"
            possible = ", ".join([other_data, *(f"--config.{key}" for key in free)])
            raise UserError(f"'--config.{foreign[0]}' cannot change a trained run; possible: {possible}")
        other = resolve(config, rest)
        if not parsed.name:
            what = "another answer" if override_keys(rest)[0] in free else "other data"
            raise UserError(f"{what} needs a name for its rows and results; add --name NAME")
        if not parsed.name.isidentifier() or parsed.name.split("_")[-1] in ("best", "last"):
            raise UserError(f"--name is '{parsed.name}'; possible: letters, digits and _, not ending in best or last")
    elif parsed.name:
        raise UserError("--name is for other data or answers; say which with --config.data.KEY=VALUE or --config.model.KEY=VALUE")
    name = parsed.name if parsed.checkpoint == "best" else "_".join(filter(None, (parsed.name, parsed.checkpoint)))
    target = open_target(config, parsed.split, run=folder, other=other, name=name)
    if parsed.distributed is not None:  # what can be refused without the other processes was
        join(parsed.distributed)
    found = evaluate(folder, config, target, which=parsed.checkpoint, steps=parsed.steps)
    if found:  # of several processes the first one tells
        print_scores(folder, target.name, parsed.checkpoint, found)
    return 0


def print_scores(run: RunDir, name: str, which: str, found: Mapping[str, Mapping[str, Interval]]) -> None:
    """The table of what a checkpoint reaches on a target of this name, where it is saved, and what comes next."""
    count = next(iter(found["model"].values())).n
    meta = read_meta(run.rows(name)) or {}
    without = f" ({meta['skipped']:,} skipped)" if meta.get("skipped") else ""
    fields = "".join(f", {key}={value}" for key, value in (meta.get("fields") or {}).items())
    print(f"{run.path}, {name}, {count:,} examples{without}, {which} checkpoint{fields}", flush=True)
    print_table(found)
    shown = "" if name == "test" else f" --split {name}"
    print(f"rows: {run.rows(name)}   results: {run.results}   next: imgloc report {run.path}{shown}")


def print_table(found: Mapping[str, Mapping[str, Interval]]) -> None:
    """Mean and interval of every whole metric, a column a predictor; where nothing says of boxes, one of the commonest class."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    boxes = "mean_iou" in found["model"]
    shown = NAMES if boxes else {"model": NAMES["model"], "whole_image": "commonest class"}
    captions = [CAPTION, *[CAPTION_OF_BOXES] * boxes, *[CAPTION_OF_LOOKS] * ("look_hits" in found["model"])]
    table = Table(caption="\n".join(captions), box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.caption_justify = "left"
    table.add_column("metric")
    for name in shown.values():
        table.add_column(name, justify="right")
    for metric in found["model"]:
        if "/" not in metric:  # slices are in results.json and in the report
            cells = [found[predictor].get(metric) for predictor in shown]
            table.add_row(metric, *(f"{c.mean:.3f} [{c.low:.3f}, {c.high:.3f}]" if c else "" for c in cells))
    console = Console()
    console = console if console.is_terminal else Console(width=120)
    console.print(table)
