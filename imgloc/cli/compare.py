"""imgloc compare"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imgloc.cli.console import console_for
from imgloc.cli.parsers import add_output_flags, check_rest
from imgloc.errors import UserError

if TYPE_CHECKING:
    from imgloc.api.comparing import ComparisonResults

HELP = "compare groups of evaluated runs: means over seeds, paired differences, tests, needed seeds and images"
EXAMPLES = """\
Runs whose configs differ in the seed alone are one group; NAME=PATTERN names a group. The first group is the one that the others
are compared with. A difference is shown where p, corrected for all tests of the table, is below 0.05.

examples:
  imgloc compare runs/cnn-* runs/lstm-*
  imgloc compare 'CNN=runs/cnn-*' 'LSTM=runs/lstm-*' --metrics top1,mean_iou --difference 0.01
  imgloc compare runs/sweep --format latex > table.tex
  imgloc compare runs/a runs/b                # two trained models: about other images alone

exit codes: 0 compared; 1 a file cannot be read; 2 a mistake in the command or the runs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("runs", nargs="+", metavar="RUNS", help="folders of evaluated runs or of sweeps, patterns, or NAME=PATTERN")
    parser.add_argument("--split", default="test", help="the evaluated split (default: test)")
    parser.add_argument("--metrics", default="", metavar="KEYS", help="keys, separated by commas (default: headline metrics of the task)")
    parser.add_argument(
        "--over", default="", choices=["images", "seeds", "both"],
        help="what verdicts are about: other images, other seeds, or both (default: both, where each group has two runs)",
    )  # fmt: skip
    parser.add_argument("--difference", type=float, default=None, metavar="D", help="print how many seeds and images would show it")
    parser.add_argument(
        "--samples", type=int, default=None, metavar="N", help="bootstrap samples and permutations (default: of the config)"
    )
    parser.add_argument("--format", default="", choices=["markdown", "csv", "latex", "html"], help="print the table in this format")
    add_output_flags(parser)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Compare the runs and print the table, or one JSON object."""
    check_rest(rest, "compare")
    if parsed.json and parsed.format:
        raise UserError("--json and --format exclude each other; choose one")
    from imgloc.api.comparing import compare

    metrics = [key for key in parsed.metrics.split(",") if key]
    results = compare(
        parsed.runs, split=parsed.split, metrics=metrics, over=parsed.over, samples=parsed.samples, difference=parsed.difference
    )
    if parsed.json:
        print(json.dumps(as_json(results)))
    elif parsed.format:
        print(results.to(parsed.format), end="")
    else:
        print_table(results)
    return 0


def as_json(results: ComparisonResults) -> dict[str, Any]:
    """The object that `--json` prints: everything that was computed, not what verdicts are about alone."""
    found = results.comparison
    differences = {
        key: {
            name: {
                "value": each.value, "verdict": each.verdict, "needed": each.needed._asdict() if each.needed else None,
                "tests": {kind: test._asdict() for kind, test in each.tests.items()},
            }
            for name, each in groups.items()
        }
        for key, groups in found.differences.items()
    }  # fmt: skip
    levels = {key: {name: dataclasses.asdict(level) for name, level in each.items()} for key, each in found.levels.items()}
    return {
        "split": results.split, "images": found.images, "samples": results.samples, "over": found.over, "runs": dict(found.runs),
        "metrics": levels, "differences": differences,
    }  # fmt: skip


def print_table(results: ComparisonResults) -> None:
    """Print a row for each metric and group."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from imgloc.reporting.comparison_tables import comparison_table

    cells = comparison_table(results.comparison)
    table = Table(caption="\n".join(cells.notes), box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.caption_justify = "left"
    for i, title in enumerate(cells.titles):
        table.add_column(Text(title), justify="left" if i < cells.texts else "right", no_wrap=True)
    for row in cells.rows:
        table.add_row(*map(Text, row))
    console_for(table, 120).print(table)
