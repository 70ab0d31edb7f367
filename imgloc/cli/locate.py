"""imgloc locate"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imgloc.errors import UserError

if TYPE_CHECKING:
    from imgloc.runs.partial_predictions import SavedPartialPredictions

HELP = "say what is in pictures and where, one JSON line each"
EXAMPLES = """\
Each line on standard output is {"path":, "class":, "score":, "box": [x0, y0, x1, y1]} with the box in pixels
of the file as it is stored, or {"path":, "error":}; exit code 1 says that some pictures failed.
A run of the task read says as many classes as its model has labels, whatever the picture holds: "class" is all of them, from left
to right, a space between, and "score" the product of their probabilities.
Where EXIF has viewers turn the picture, "orientation" says how and "box_upright" is the box as they show it.

example:
  imgloc locate runs/a photo.jpg more/*.png --out out/
  imgloc locate runs/lstm photo.jpg --steps pictures/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("run", metavar="RUN", help="a run folder")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="picture files")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="best (on validation; default) or last")
    parser.add_argument("--out", default="", metavar="DIR", help="write an annotated copy of each picture there")
    text = "write an animated picture there of each answer as it forms (SVG; models that read step by step)"
    parser.add_argument("--steps", default="", metavar="DIR", help=text)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Locate; 1 where some pictures failed."""
    if rest:
        raise UserError(f"unknown option '{rest[0]}'; possible: --out, --checkpoint, --steps")
    from imgloc.devices import runtime
    from imgloc.runs import run_dir

    run_dir.open_run(parsed.run)
    out, pictures = _folder("out", parsed.out), _folder("steps", parsed.steps)
    runtime.prepare()

    from imgloc.inference.locate import locate_files, opened, predictor, stepwise

    warnings.filterwarnings("ignore", module=r"PIL\.")  # of what it mends itself: each picture has its line
    trained = opened(parsed.run, checkpoint=parsed.checkpoint)
    draw = _drawing(stepwise(trained), trained.classes, pictures) if pictures is not None else None
    failed = False
    for answer in locate_files(predictor(trained), parsed.images, out):
        told = answer if draw is None or "error" in answer else _with_steps(answer, draw)
        failed = failed or "error" in told
        print(json.dumps(told), flush=True)
    return 1 if failed else 0


def _folder(flag: str, name: str) -> Path | None:
    """A folder that is to be written to. Raises UserError where it cannot be."""
    if not name:
        return None
    from imgloc import files

    folder = Path(name)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--{flag} '{folder}' is a file; it wants a folder")
    files.check_writable(folder)
    return folder


def _with_steps(answer: dict[str, object], draw: Callable[[Path], str]) -> dict[str, object]:
    try:
        return {**answer, "steps": draw(Path(str(answer["path"])))}
    except UserError as error:
        return {"path": answer["path"], "error": str(error)}


def _drawing(
    find: Callable[[Path, str], tuple[SavedPartialPredictions, bytes]], classes: Sequence[str], folder: Path
) -> Callable[[Path], str]:
    """Writes the animated picture of a file and says where; never over anything but an earlier one."""
    from imgloc import files
    from imgloc.report.partial_predictions import is_ours, own_picture

    taken: set[str] = set()

    def draw(path: Path) -> str:
        name, number = path.stem, 2
        while name.casefold() in taken:
            name, number = f"{path.stem}-{number}", number + 1
        taken.add(name.casefold())
        target = folder / f"{name}.svg"
        if not is_ours(target):
            raise UserError(f"--steps '{folder}' would overwrite '{target}', which is no such picture; choose another folder")
        steps, png = find(path, path.name)
        files.write_text(target, own_picture(steps, png, classes))
        return str(target)

    return draw
