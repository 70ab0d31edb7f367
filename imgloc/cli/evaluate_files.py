"""imgloc evaluate --predictions: scores of detections that any program has written."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imgloc.api.coco_results import SAMPLES
from imgloc.cli.console import console_for
from imgloc.errors import UserError
from imgloc.evaluation import scoring
from imgloc.evaluation.coco_files import read_rows, read_truth
from imgloc.evaluation.paired import compare
from imgloc.evaluation.statistics import Interval

MAX_SAMPLES = 100_000
SHOWN = ("ap", "ap50", "f1", "count_error", "error_class", "voc_ap_area")  # metrics that the caption explains


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this form of the command."""
    text = "score result files of COCO instead of a run; of two, the second less the first too"
    parser.add_argument("--predictions", nargs="+", default=[], metavar="FILE", help=text)
    parser.add_argument("--truth", default="", metavar="FILE", help="the instances file of COCO with the truth of --predictions")
    text = f"bootstrap samples of the intervals of --predictions (default {SAMPLES:,})"
    parser.add_argument("--samples", type=int, default=None, metavar="N", help=text)
    text = "score from which detections of --predictions count in precision, recall, F1 and count error (default 0.5)"
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
        raise UserError(f"--predictions scores files and takes no run and no config, got '{(parsed.run, *rest)[parsed.run is None]}'")
    if not parsed.truth:
        raise UserError("--predictions needs --truth FILE, the instances file of COCO")
    if len(parsed.predictions) > 2:
        raise UserError(f"--predictions takes one file, or two to compare, got {len(parsed.predictions)}")
    if parsed.samples is not None and not 1 <= parsed.samples <= MAX_SAMPLES:
        raise UserError(f"--samples must be from 1 to {MAX_SAMPLES}, got {parsed.samples}")
    if parsed.score_threshold is not None and not math.isfinite(parsed.score_threshold):
        raise UserError(f"--score-threshold must be a finite number, got {parsed.score_threshold}")
    return True


def run(parsed: argparse.Namespace) -> int:
    """Score the files and print the table, or one JSON object."""
    samples = SAMPLES if parsed.samples is None else parsed.samples
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
    columns = {"value" if len(rows) == 1 else path: each for path, each in zip(parsed.predictions, scored, strict=True)}
    print_table(columns | ({"difference": differences} if differences else {}))
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


def print_table(columns: Mapping[str, Mapping[str, Interval]]) -> None:
    """Print every metric with its interval; those of classes are in the JSON object."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    keys = scoring.in_order((key for scores in columns.values() for key in scores), None)
    caption = ["value [95 % interval over images]; --json prints the metrics of each class too"]
    if "difference" in columns:
        caption.append("difference: the second file less the first, over the same bootstrap samples")
    caption += [f"{key}: {scoring.metric_of(key).meaning}" for key in SHOWN if key in keys]
    table = Table(caption="\n".join(caption), box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.caption_justify = "left"
    table.add_column("metric", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for key in keys:
        cells = []
        for name, scores in columns.items():
            form, each = "+.3f" if name == "difference" else ".3f", scores.get(key)
            cells.append(f"{each.mean:{form}} [{each.low:{form}}, {each.high:{form}}]" if each else "")
        table.add_row(key, *cells)
    console_for(table, 120).print(table)
