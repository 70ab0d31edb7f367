"""imgloc evaluate --predictions: scores of detections that any program has written."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imgloc.api.coco_results import SAMPLES, check_options
from imgloc.cli.console import console_for
from imgloc.errors import UserError
from imgloc.evaluation import scoring
from imgloc.evaluation.coco_files import read_rows, read_truth
from imgloc.evaluation.paired import compare
from imgloc.evaluation.statistics import Interval

FLAGS_OF_RUNS = ("--split", "--checkpoint", "--name", "--partial-predictions", "--export", "--distributed")  # empty if not given
SHOWN = ("ap", "ap50", "f1", "count_error", "error_class", "voc_ap_area")  # metrics that the caption explains


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this form of the command."""
    text = "score result files of COCO instead of a run; with two files, also print their difference (second minus first)"
    parser.add_argument("--predictions", nargs="+", default=[], metavar="FILE", help=text)
    parser.add_argument("--truth", default="", metavar="FILE", help="the instances file of COCO with the truth of --predictions")
    text = f"bootstrap samples of the intervals of --predictions (default {SAMPLES:,})"
    parser.add_argument("--samples", type=int, default=None, metavar="N", help=text)
    counting = "precision, recall, F1, count_error and error_KIND_count"
    text = f"lowest score of the detections of --predictions that count in {counting} (default 0.5)"
    parser.add_argument("--score-threshold", type=float, default=None, metavar="SCORE", help=text)


def check_arguments(parsed: argparse.Namespace, rest: Sequence[str]) -> bool:
    """Return whether files are scored. Raises UserError for arguments that belong to the other form of the command, and wrong values."""
    if not parsed.predictions:
        flags = {"--truth": parsed.truth or None, "--samples": parsed.samples, "--score-threshold": parsed.score_threshold}
        for flag, value in flags.items():
            if value is not None:
                raise UserError(f"{flag} needs --predictions FILE; see imgloc evaluate --help")
        if parsed.run is None:
            raise UserError("RUN, or --predictions FILE with --truth FILE, is required; see imgloc evaluate --help")
        return False
    if parsed.run is not None or rest:
        given = rest[0] if parsed.run is None else parsed.run
        raise UserError(f"--predictions scores files and takes no run and no config, got '{given}'")
    for flag in FLAGS_OF_RUNS:
        if getattr(parsed, flag.removeprefix("--").replace("-", "_")):
            raise UserError(f"--predictions cannot be combined with {flag}, which belongs to a run")
    if not parsed.truth:
        raise UserError("--predictions needs --truth FILE, the instances file of COCO")
    if len(parsed.predictions) > 2:
        raise UserError(f"--predictions takes one file, or two to compare, got {len(parsed.predictions)}")
    if len({Path(path).resolve() for path in parsed.predictions}) < len(parsed.predictions):
        raise UserError(f"--predictions takes two different files, got {' and '.join(parsed.predictions)}")
    check_options(samples_of(parsed), parsed.score_threshold, ("--samples", "--score-threshold"))
    return True


def samples_of(parsed: argparse.Namespace) -> int:
    """The number of bootstrap samples."""
    return SAMPLES if parsed.samples is None else int(parsed.samples)


def run(parsed: argparse.Namespace) -> int:
    """Score the files and print the table, or one JSON object."""
    samples = samples_of(parsed)
    truth = read_truth(Path(parsed.truth))
    rows = [read_rows(Path(path), truth, parsed.score_threshold) for path in parsed.predictions]
    differences: Mapping[str, Interval] = {}
    if len(rows) == 2:
        *scored, differences = compare(rows[0], rows[1], truth.classes, None, samples=samples)
    else:
        scored = [scoring.intervals(rows[0], truth.classes, None, samples=samples)]
    counts = [sum(len(row["results"]) for row in each) for each in rows]
    if parsed.json:
        print(json.dumps(as_json(parsed, samples, counts, len(truth.rows), scored, differences)))
        return 0
    for path, count in zip(parsed.predictions, counts, strict=True):
        print(f"{path}: {count:,} detections in {len(truth.rows):,} images of {parsed.truth}")
    titles = parsed.predictions if len(rows) == 2 else ["value"]
    print_table(list(zip(titles, scored, strict=True)), differences)
    return 0


def as_json(
    parsed: argparse.Namespace,
    samples: int,
    detections: Sequence[int],
    images: int,
    scored: Sequence[Mapping[str, Interval]],
    differences: Mapping[str, Interval],
) -> dict[str, Any]:
    """The object that `--json` prints."""
    results = [
        {"predictions": path, "detections": count, "metrics": scoring.as_json(each)}
        for path, count, each in zip(parsed.predictions, detections, scored, strict=True)
    ]
    found: dict[str, Any] = {"truth": parsed.truth, "images": images, "samples": samples, "results": results}
    return found | ({"differences": scoring.as_json(differences)} if len(scored) == 2 else {})


def print_table(columns: Sequence[tuple[str, Mapping[str, Interval]]], differences: Mapping[str, Interval]) -> None:
    """Print every metric with its interval, in columns of a title and scores; those of classes are in the JSON object."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    keys = scoring.in_order((key for _, scores in columns for key in scores), None)
    caption = ["value [95 % interval over images]; --json prints the metrics of each class too"]
    if differences:
        caption.append("difference: second minus first file, over the same bootstrap samples")
    caption += [f"{key}: {scoring.metric_of(key).meaning}" for key in SHOWN if key in keys]
    table = Table(caption="\n".join(caption), box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.caption_justify = "left"
    table.add_column("metric", no_wrap=True)
    for title in (*(title for title, _ in columns), *(["difference"] if differences else [])):
        table.add_column(title, justify="right", no_wrap=True)
    for key in keys:
        cells = [cell(scores.get(key), ".3f") for _, scores in columns]
        table.add_row(key, *cells, *([cell(differences.get(key), "+.3f")] if differences else []))
    console_for(table, 120).print(table)


def cell(interval: Interval | None, form: str) -> str:
    """A value with its interval, or nothing."""
    return f"{interval.mean:{form}} [{interval.low:{form}}, {interval.high:{form}}]" if interval else ""
