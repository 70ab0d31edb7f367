"""imgloc evaluate"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgloc.cli import evaluate_files
from imgloc.cli.console import console_for
from imgloc.cli.parsers import add_output_flags
from imgloc.cli.processes import add_distributed
from imgloc.config.resolve import resolve
from imgloc.config.task import make_task
from imgloc.evaluation import predictors, scoring
from imgloc.evaluation.predictors import MODEL
from imgloc.evaluation.statistics import Interval
from imgloc.interfaces import Baseline, Task
from imgloc.runs.prediction_table import read_meta

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from imgloc.runs.run_dir import RunDir

HELP = "score a run on a split, or result files of COCO: 95 % intervals, and a table beside the baselines"
EXAMPLES = """\
--config.data.KEY=VALUE with --name scores the run on other data. Data that shares
examples with its training or validation data is refused.
--config.model.KEY=VALUE with --name sets fields that change no parameter, such as num_rollouts of ram.
Rows and results are written to the run folder; those of --checkpoint last are named SPLIT@last. Rows that are up to date
(same config, checkpoint and data) are not computed again.
--predictions scores files of detections in the format of COCO's results, of any program.

examples:
  imgloc evaluate runs/a --split test
  imgloc evaluate runs/lstm --partial-predictions test-00012 test-00731 && imgloc report runs/lstm
  imgloc evaluate runs/a --name full --config.data.options.digits=idx --config.data.options.folder=MNIST
  imgloc evaluate runs/a --export coco yolo
  imgloc evaluate runs/a --predictor runs/a/deployment/model.onnx
  imgloc evaluate runs/ram --name averaged --config.model.num_rollouts=10
  imgloc evaluate --predictions results.json --truth instances_val2017.json
  imgloc evaluate --predictions before.json after.json --truth instances_val2017.json --json

exit codes: 0 scored; 1 a file cannot be read or written; 2 a mistake in the command, the run or the data
"""
CAPTION = "value [95 % interval]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("run", metavar="RUN", nargs="?", help="a run folder")
    parser.add_argument("--split", help="train, validation or test (default)")
    parser.add_argument("--checkpoint", metavar="WHICH", help="best (on validation; default) or last")
    parser.add_argument("--name", default="", help="a name for this evaluation; required with --config.data... or --config.model...")
    text = "a file that imgloc export has written from the run: it predicts instead of the model, under the name SPLIT@FILE"
    parser.add_argument("--predictor", default="", metavar="FILE", help=text)
    parser.add_argument("--allow-native-code", action="store_true", help="run a --predictor that is machine code (iree): trust it first")
    text = "save the partial predictions of these examples for the report (models that read an image in several steps)"
    parser.add_argument("--partial-predictions", nargs="+", action="extend", default=[], metavar="ID", help=text)
    text = "also write the predictions in a format of other tools: coco, yolo or csv (to RUN/exports/SPLIT/FORMAT)"
    parser.add_argument("--export", nargs="+", action="extend", default=[], metavar="FORMAT", help=text)
    evaluate_files.add_arguments(parser)
    add_output_flags(parser)
    add_distributed(parser)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Evaluate and print the table."""
    if evaluate_files.check_arguments(parsed, rest):
        return evaluate_files.run(parsed)
    from imgloc.devices import runtime
    from imgloc.runs import run_dir

    folder, config = run_dir.open_run(parsed.run)
    runtime.prepare()

    from imgloc.api.evaluating import Results
    from imgloc.config.overrides import override_keys
    from imgloc.deployment.exported import open_exported
    from imgloc.devices.multihost import connect_processes
    from imgloc.evaluation.evaluate import evaluate
    from imgloc.evaluation.exported import named_after
    from imgloc.evaluation.target import named_target
    from imgloc.inference.export import check_format

    for form in parsed.export:  # before anything is computed
        check_format(form, config.task, make_task(config))
    keys, other = override_keys(rest), resolve(config, rest) if rest else None
    split, which = "test" if parsed.split is None else parsed.split, "best" if parsed.checkpoint is None else parsed.checkpoint
    target = named_target(folder, config, split, checkpoint=which, name=parsed.name, keys=keys, other=other)
    exported = open_exported(Path(parsed.predictor), allow_native_code=parsed.allow_native_code) if parsed.predictor else None
    target = target if exported is None else named_after(target, exported)
    if parsed.distributed is not None:  # what can be refused without the other processes was
        connect_processes(parsed.distributed)
    intervals = evaluate(folder, config, target, which=which, partial=parsed.partial_predictions, exported=exported)
    if not intervals:  # of several processes only the first one prints
        return 0
    results = Results(folder, config, target, target.name, which, intervals)
    exports = {form: str(results.export(form)) for form in parsed.export}
    if parsed.json:
        print(json.dumps(scores_json(folder, target.name, which, intervals) | {"exports": exports}))
        return 0
    print_scores(folder, config, target.name, which, intervals, hints=not parsed.quiet)
    for form, path in exports.items():
        print(f"{form}: {path}")
    return 0


def scores_json(run: RunDir, name: str, which: str, intervals: Mapping[str, Mapping[str, Interval]]) -> dict[str, Any]:
    """The scores as `--json` prints them; the values of a predictor are those of results.json."""
    meta = read_meta(run.rows(name)) or {}
    return {
        "run": str(run.path),
        "split": name,
        "checkpoint": which,
        "examples": meta.get("n", 0),
        "skipped": meta.get("skipped", 0),
        "results": {predictor: scoring.as_json(scores) for predictor, scores in intervals.items()},
    }


def print_scores(
    run: RunDir, config: ConfigDict, name: str, which: str, intervals: Mapping[str, Mapping[str, Interval]], *, hints: bool = True
) -> None:
    """Print the table of a checkpoint on a target of this name; with `hints` also where its rows are, and the next command."""
    count = max((interval.n for interval in intervals[MODEL].values()), default=0)
    meta = read_meta(run.rows(name)) or {}
    skipped = f" ({meta['skipped']:,} skipped)" if meta.get("skipped") else ""
    fields = "".join(f", {key}={value}" for key, value in (meta.get("fields") or {}).items())
    print(f"{run.path}, {name}, {count:,} examples{skipped}, {which} checkpoint{fields}", flush=True)
    print_table(intervals, make_task(config), predictors.baselines(config.task))
    split = "" if name == "test" else f" --split {name}"
    if hints:
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
