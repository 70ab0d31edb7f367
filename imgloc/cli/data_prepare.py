"""imgloc data prepare"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgloc.cli.parsers import check_rest

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

HELP = "prepare a data set for the source `tfds`: array_record files with checksums"
EXAMPLES = """\
tiny_imagenet is prepared from its archive or the folder that it unpacks to. Any other data set of TFDS is prepared by
TFDS's builder, which often requires tensorflow; reading never does.

The same command resumes an interrupted preparation of tiny_imagenet, which ends with the same bytes. A finished one is
checked against its checksums.

examples:
  imgloc data prepare tiny_imagenet --from tiny-imagenet-200.zip
  imgloc data prepare voc/2007 --folder data/tfds

exit codes: 0 prepared, or checked; 1 a file cannot be read or written; 2 a mistake in the command or a damaged archive
"""
LINES = 10  # lines of progress, if stderr is not a terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("name", metavar="NAME", help="tiny_imagenet, or any data set of TFDS: voc/2007, coco/2017, cifar10")
    parser.add_argument("--from", dest="origin", default="", metavar="ZIP_OR_FOLDER", help="the archive or folder of tiny_imagenet")
    parser.add_argument("--folder", default="", metavar="DIR", help="the folder of prepared data (default: TFDS's, ~/tensorflow_datasets)")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Prepares a data set, or checks an existing one."""
    check_rest(rest, "data prepare")
    from imgloc.data.prepared.writer import prepare

    progress = Progress(parsed.name)
    try:
        prepared = prepare(parsed.name, origin=parsed.origin, folder=parsed.folder, on_start=progress.start, on_progress=progress.advance)
    finally:
        progress.close()
    counts = ", ".join(f"{count:,} {split}" for split, count in prepared.examples.items())
    matching = "checksums match" if prepared.checked else "TFDS has no checksums of it"
    print(f"{prepared.folder}: {prepared.status}, {counts} in {prepared.files} files; {matching}")
    where = f" --config.data.options.folder={parsed.folder}" if parsed.folder else ""
    print(f"to train on it: --config.data.source=tfds --config.data.options.name={parsed.name}{where}")
    return 0


class Progress:
    """A progress bar on a terminal, otherwise a line for each tenth."""

    def __init__(self, name: str) -> None:
        self.name, self.count, self.total = name, 0, 0
        self.bar: Bar | None = None

    def start(self, total: int) -> None:
        """Sets the number of examples and shows the bar."""
        self.total = total
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import MofNCompleteColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self.bar = Bar(*Bar.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True))
            self.task = self.bar.add_task(self.name, total=total)
            self.bar.start()

    def advance(self, count: int) -> None:
        """Adds to the number of finished examples."""
        before, self.count = self.count, self.count + count
        if self.bar is not None:
            self.bar.update(self.task, completed=self.count)
        elif before * LINES // self.total != self.count * LINES // self.total:
            print(f"{self.name}: {self.count:,} of {self.total:,} examples", file=sys.stderr)

    def close(self) -> None:
        """Stops the bar, which restores the terminal."""
        if self.bar is not None:
            self.bar.stop()
