"""imgloc report"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from imgloc.errors import UserError

HELP = "write a web page with the results of one run, or of several runs side by side"
EXAMPLES = """\
Run imgloc evaluate first: the page shows its saved predictions. The page is one file that loads nothing from the network.

examples:
  imgloc report runs/a
  imgloc report runs/a runs/b --out compare.html
  imgloc report runs/sweep               # every run of a sweep
  imgloc report runs/lstm --pictures pictures/   # SVG files, for a README or for slides
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of evaluated runs, or of a sweep")
    parser.add_argument("--split", default="test", help="the evaluated split to report (default: test)")
    parser.add_argument("--pictures", default="", metavar="DIR", help="also write animations of partial predictions to this folder")
    parser.add_argument("--out", default="", metavar="FILE", help="the page (default: report.html in the first folder)")


def expand_sweep(path: str) -> list[str]:
    """The run folders in the folder of a sweep, sorted; any other path as it is."""
    folder = Path(path)
    if (folder / "config.json").is_file() or not folder.is_dir():
        return [path]
    return [str(run.parent) for run in sorted(folder.glob("*/config.json"))] or [path]


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Write the report and print its path."""
    if rest:
        raise UserError(f"unknown option '{rest[0]}'; possible: --out, --split, --pictures")
    from imgloc.reporting.page import write_report

    runs = [run for path in parsed.runs for run in expand_sweep(path)]
    out = Path(parsed.out) if parsed.out else Path(parsed.runs[0]) / "report.html"
    pictures = Path(parsed.pictures) if parsed.pictures else None
    print(f"report: {write_report(runs, out, split=parsed.split, pictures=pictures)}")
    if pictures is not None:
        print(f"pictures: {pictures}")
    return 0
