"""imgloc report"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from imgloc.errors import UserError

HELP = "write a self-contained web page of one run or several side by side"
EXAMPLES = """\
The page is made of saved rows: run imgloc evaluate first. It opens offline.

examples:
  imgloc report runs/a
  imgloc report runs/a runs/b --out compare.html
  imgloc report runs/lstm --pictures pictures/   # SVG files, for a README or for slides
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders that imgloc evaluate has scored")
    parser.add_argument("--split", default="test", help="whose rows to show (default: test)")
    parser.add_argument("--pictures", default="", metavar="DIR", help="also write each animated picture of an answer as it forms there")
    parser.add_argument("--out", default="", metavar="FILE", help="where to write it (default: report.html in the first run folder)")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Write the report and say where it is."""
    if rest:
        raise UserError(f"unknown option '{rest[0]}'; possible: --out, --split, --pictures")
    from imgloc.report.page import write_report

    out = Path(parsed.out) if parsed.out else Path(parsed.runs[0]) / "report.html"
    pictures = Path(parsed.pictures) if parsed.pictures else None
    print(f"report: {write_report(parsed.runs, out, split=parsed.split, pictures=pictures)}")
    if pictures is not None:
        print(f"pictures: {pictures}")
    return 0
