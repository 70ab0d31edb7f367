"""imgloc data prepare"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgloc.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

HELP = "write a data set as array_record, which source `tfds` reads, with checksums"
EXAMPLES = """\
tiny_imagenet is made here, from the archive or the folder that it unpacks to, and any data set of TFDS by TFDS's own
builder; most of those want tensorflow for that. Reading wants it for none.

A preparation of ours that was stopped goes on with the same command and ends with the same bytes. One that is finished
is read again and held against its checksums.

examples:
  imgloc data prepare tiny_imagenet --from tiny-imagenet-200.zip
  imgloc data prepare voc/2007 --folder data/tfds
"""
LINES = 10  # of progress where it is no terminal that reads


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("name", metavar="NAME", help="tiny_imagenet, or any data set of TFDS: voc/2007, coco/2017, cifar10")
    parser.add_argument("--from", dest="origin", default="", metavar="ZIP_OR_FOLDER", help="what tiny_imagenet is made from")
    parser.add_argument("--folder", default="", metavar="DIR", help="where prepared data lies; default: TFDS's, ~/tensorflow_datasets")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Prepare, or check what is prepared."""
    if rest:
        raise UserError(f"unknown arguments: {' '.join(rest)}; see imgloc data prepare --help")
    from imgloc.data.prepared.writer import prepare

    progress = Progress(parsed.name)
    try:
        done = prepare(parsed.name, origin=parsed.origin, folder=parsed.folder, begin=progress.begin, wrote=progress.wrote)
    finally:
        progress.close()
    counts = ", ".join(f"{count:,} {split}" for split, count in done.examples.items())
    matching = "checksums match" if done.checked else "TFDS keeps no checksums of it"
    print(f"{done.folder}: {done.how}, {counts} in {done.files} files; {matching}")
    where = f" --config.data.options.folder={parsed.folder}" if parsed.folder else ""
    print(f"to train on it: --config.data.source=tfds --config.data.options.name={parsed.name}{where}")
    return 0


class Progress:
    """A bar on a terminal; elsewhere a line at each tenth."""

    def __init__(self, name: str) -> None:
        self.name, self.count, self.total = name, 0, 0
        self.bar: Bar | None = None

    def begin(self, total: int) -> None:
        """How many examples there are to write."""
        self.total = total
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import MofNCompleteColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self.bar = Bar(*Bar.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True))
            self.task = self.bar.add_task(self.name, total=total)
            self.bar.start()

    def wrote(self, count: int) -> None:
        """So many more are there."""
        before, self.count = self.count, self.count + count
        if self.bar is not None:
            self.bar.update(self.task, completed=self.count)
        elif before * LINES // self.total != self.count * LINES // self.total:
            print(f"{self.name}: {self.count:,} of {self.total:,} examples", file=sys.stderr)

    def close(self) -> None:
        """Take the bar off the terminal's hands."""
        if self.bar is not None:
            self.bar.stop()
