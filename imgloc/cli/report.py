"""imgloc report"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from imgloc.cli.parsers import add_output_flags
from imgloc.errors import UserError

HELP = "write a web page with the results of one run, of several runs side by side, or of a sweep"
EXAMPLES = """\
Run imgloc evaluate first: the page shows its saved predictions. The page is one file that loads nothing from the network.

examples:
  imgloc report runs/a
  imgloc report runs/a runs/b --out compare.html
  imgloc report runs/sweep               # a sweep: its points, importance of keys, curves
  imgloc report runs/sweep/*/ --out compare.html   # every run of a sweep side by side
  imgloc report runs/lstm --pictures pictures/   # SVG files, for a README or for slides

exit codes: 0 written; 1 a file cannot be read or written; 2 a mistake in the command or the runs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of evaluated runs, or of a sweep")
    parser.add_argument("--split", default="test", help="the evaluated split to report (default: test)")
    parser.add_argument("--pictures", default="", metavar="DIR", help="also write animations of partial predictions to this folder")
    parser.add_argument("--out", default="", metavar="FILE", help="the page (default: report.html in the first folder)")
    add_output_flags(parser)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Write the report and print its path."""
    if rest:
        raise UserError(f"unknown option '{rest[0]}'; possible: --out, --split, --pictures")
    from imgloc.api.reporting import report

    page = report(parsed.runs, parsed.out or None, split=parsed.split, pictures=parsed.pictures or None)
    if parsed.json:
        print(json.dumps({"report": str(page), "pictures": parsed.pictures or None}))
        return 0
    print(f"report: {page}")
    if parsed.pictures:
        print(f"pictures: {parsed.pictures}")
    return 0
