"""imgloc wsol: scores of score maps that any program has written."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imgloc.cli.console import console_for
from imgloc.cli.parsers import add_output_flags, check_rest

if TYPE_CHECKING:
    from imgloc.api.score_maps import ScoreMapResults

HELP = "score score maps by the protocol of weakly supervised localization: MaxBoxAcc, MaxBoxAccV2, PxAP"
EXAMPLES = """\
The metadata is a split of wsolevaluation. Score maps are files ID.npy of floats from 0 to 1; those of 224 x 224 are used as they are.

examples:
  imgloc wsol --scoremaps maps/ --metadata metadata/ILSVRC/test
  imgloc wsol --scoremaps maps/ --metadata metadata/ILSVRC/test --classes predicted.txt --threshold 0.3 --json
  imgloc wsol --scoremaps maps/ --metadata metadata/OpenImages/test --masks OpenImages/

exit codes: 0 scored; 1 a file cannot be read; 2 a mistake in the command, the metadata or the maps
"""
MEANINGS = {
    "max_box_acc": "box of the largest contour, at the best threshold; _50 is MaxBoxAcc",
    "max_box_acc_v2": "best box of all contours, at the best threshold; _mean is MaxBoxAccV2",
    "max_top1_loc": "as max_box_acc, and the class is correct",
    "pxap": "PxAP: area under the precision-recall curve of pixels",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--scoremaps", required=True, metavar="DIR", help="folder with a score map ID.npy for each image")
    parser.add_argument("--metadata", required=True, metavar="DIR", help="folder of the split, with image_ids.txt")
    parser.add_argument("--masks", default=None, metavar="DIR", help="folder of the masks that the metadata names (Open Images)")
    parser.add_argument("--classes", default=None, metavar="FILE", help="predicted classes, lines id,class; adds top-1 localization")
    parser.add_argument("--interval", type=float, default=0.001, metavar="STEP", help="between thresholds (default 0.001)")
    parser.add_argument("--threshold", type=float, default=None, metavar="T", help="also print box accuracies at this threshold")
    parser.add_argument("--samples", type=int, default=1000, metavar="N", help="bootstrap samples of the intervals (default 1,000)")
    add_output_flags(parser)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Score the maps and print the table, or one JSON object."""
    check_rest(rest, "wsol")
    from imgloc.api.score_maps import evaluate_wsol

    options = {"classes": parsed.classes, "interval": parsed.interval, "threshold": parsed.threshold, "samples": parsed.samples}
    results = evaluate_wsol(parsed.scoremaps, parsed.metadata, parsed.masks, **options)
    if parsed.json:
        print(json.dumps(as_json(parsed, results)))
        return 0
    print(f"{parsed.scoremaps}: {results.images:,} score maps, {len(results.thresholds):,} thresholds")
    print_table(results)
    return 0


def as_json(parsed: argparse.Namespace, results: ScoreMapResults) -> dict[str, Any]:
    """The object that `--json` prints."""
    from imgloc.evaluation import scoring

    return {
        "scoremaps": parsed.scoremaps, "metadata": parsed.metadata, "images": results.images, "samples": parsed.samples,
        "metrics": scoring.as_json(results.metrics), "best_thresholds": dict(results.best_thresholds),
        "thresholds": results.thresholds.tolist(),
        "correct": {key: {iou: count_t.tolist() for iou, count_t in each.items()} for key, each in results.correct.items()},
        "pixels": None if results.pixels is None else dict(zip(("foreground", "background"), results.pixels.tolist(), strict=True)),
    }  # fmt: skip


def print_table(results: ScoreMapResults) -> None:
    """Print every metric with its interval and its best threshold."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    meanings = [f"{key}: {meaning}" for key, meaning in MEANINGS.items() if any(name.startswith(key) for name in results.metrics)]
    chosen = "; the best threshold is chosen on these images" if results.best_thresholds else ""
    table = Table(
        caption="\n".join([f"value [95 % interval over images]{chosen}", *meanings]), box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    table.caption_justify = "left"
    table.add_column("metric", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    if chosen:
        table.add_column("best threshold", justify="right", no_wrap=True)
    for key, interval in results.metrics.items():
        best = [f"{results.best_thresholds[key]:.3f}"] if key in results.best_thresholds else []
        table.add_row(key, f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]", *best)
    console_for(table, 120).print(table)
