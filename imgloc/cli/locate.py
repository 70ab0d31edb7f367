"""imgloc locate"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

from imgloc.errors import UserError

HELP = "say what is in pictures and where, one JSON line each"
EXAMPLES = """\
Each line on standard output is {"path":, "class":, "score":, "box": [x0, y0, x1, y1]} with the box in pixels
of the file as it is stored, or {"path":, "error":}; exit code 1 says that some pictures failed.
Where EXIF has viewers turn the picture, "orientation" says how and "box_upright" is the box as they show it.

example:
  imgloc locate runs/a photo.jpg more/*.png --out out/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("run", metavar="RUN", help="a run folder")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="picture files")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="best (on validation; default) or last")
    parser.add_argument("--out", default="", metavar="DIR", help="write an annotated copy of each picture there")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Locate; 1 where some pictures failed."""
    if rest:
        raise UserError(f"unknown option '{rest[0]}'; possible: --out, --checkpoint")
    from imgloc import files, rundir, runtime

    rundir.open_run(parsed.run)
    out = Path(parsed.out) if parsed.out else None
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"--out '{out}' is a file; it wants a folder")
    if out is not None:
        files.check_writable(out)
    runtime.prepare()

    from imgloc.locate import load, locate_files

    warnings.filterwarnings("ignore", module=r"PIL\.")  # of what it mends itself: each picture has its line
    failed = False
    for answer in locate_files(load(parsed.run, checkpoint=parsed.checkpoint), parsed.images, out):
        failed = failed or "error" in answer
        print(json.dumps(answer), flush=True)
    return 1 if failed else 0
