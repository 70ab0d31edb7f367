"""imgloc locate"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgloc import files
from imgloc.errors import UserError, printable

if TYPE_CHECKING:
    from imgloc.inference.score_maps import ImageWithMap
    from imgloc.runs.partial_predictions import SavedPartialPredictions

HELP = "predict what is in images and where, one JSON line each"
EXAMPLES = """\
Each line on standard output is a JSON object: the path of the file with the prediction of the task, or {"path":, "error":}. The
prediction of localize is "class", "score" and "box": [x0, y0, x1, y1] in pixels of the file as it is stored. If EXIF rotates the
image, "orientation" is its value and "box_upright" the box as viewers show it. The prediction of detect is "objects", a list of
these, and "score_threshold", the lowest score of an object: the value with the best F1 on the validation split, or --score.

examples:
  imgloc locate runs/a photo.jpg more/*.png --out out/
  imgloc locate runs/a photos/                           # every image in the folder and below
  imgloc locate model/ photo.jpg                         # a copy of runs/a/model
  imgloc locate efficientnet_lite0 photo.jpg             # published weights, without training; see docs/pretrained.md
  imgloc locate efficientnet_lite0 photo.jpg --heat-maps maps/
  imgloc locate runs/lstm photo.jpg --partial-predictions images/
  imgloc locate runs/a inbox/ --watch                    # every image there, then each new one until Ctrl-C

exit codes: 0 a prediction for each image; 1 some images failed; 2 a mistake in the command or the model
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("model", metavar="MODEL", help="a run folder, RUN/model or a copy of it, or published weights")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files, or folders of them")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="best (on validation; default) or last")
    parser.add_argument("--out", default="", metavar="DIR", help="write an annotated copy of each image there")
    text = "the lowest score of an object (detect; default: the value that validation chose)"
    parser.add_argument("--score", type=float, default=None, metavar="S", help=text)
    text = "write each image under the score map of its predicted class there, with the box (models with score maps)"
    parser.add_argument("--heat-maps", default="", metavar="DIR", help=text)
    text = "then wait for new images in the folders, until Ctrl-C or SIGTERM"
    parser.add_argument("--watch", action="store_true", help=text)
    text = "write an animated image of the partial predictions there (SVG; models that read an image in several steps)"
    parser.add_argument("--partial-predictions", default="", metavar="DIR", help=text)


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Locate; returns 1 where some images failed."""
    if rest:
        raise UserError(f"unknown option '{rest[0]}'; possible: --out, --checkpoint, --score, --heat-maps, --partial-predictions, --watch")
    from imgloc.devices import runtime

    out, partial = _folder("out", parsed.out), _folder("partial-predictions", parsed.partial_predictions)
    heat_maps = _folder("heat-maps", parsed.heat_maps)
    if parsed.watch:
        watched = _watched(parsed.images, {"out": out, "heat-maps": heat_maps, "partial-predictions": partial})
    runtime.prepare()

    from imgloc.inference.load import open_model, with_score_threshold
    from imgloc.inference.locate_files import locate_files, partial_predictor
    from imgloc.inference.score_maps import heat_map_predictor
    from imgloc.inference.watch import new_images
    from imgloc.training.preemption import StopRequest

    warnings.filterwarnings("ignore", module=r"PIL\.")  # Pillow warns of damage that it mends; each image has its line
    trained = open_model(parsed.model, checkpoint=parsed.checkpoint)
    if parsed.score is not None:
        trained = with_score_threshold(trained, parsed.score)
    drawings: dict[str, Callable[[dict[str, Any]], str]] = {}
    if partial is not None:
        drawings["partial_predictions"] = _drawing(partial_predictor(trained), trained.classes, partial)
    if heat_maps is not None:
        drawings["heat_map"] = _heat_map_drawing(heat_map_predictor(trained), heat_maps)
    failed = False
    with contextlib.ExitStack() as stack:
        later: Iterator[str | None] = iter(())
        if parsed.watch:
            stop = stack.enter_context(StopRequest("stopping after these images"))
            later = new_images(watched, lambda: stop.requested)
        for line in locate_files(trained, expand_folders(parsed.images, allow_empty=parsed.watch), out, itertools.chain([None], later)):
            shown = line if "error" in line else _with_drawings(line, drawings)
            failed = failed or "error" in shown
            print(json.dumps(shown), flush=True)
    return 1 if failed else 0


def _watched(paths: Sequence[str], written: Mapping[str, Path | None]) -> list[Path]:
    """The folders among the paths. Raises UserError if there are none, or if images would be written to one of them."""
    folders = [Path(path) for path in paths if Path(path).is_dir()]
    if not folders:
        raise UserError(f"--watch requires a folder, got {', '.join(repr(path) for path in paths)}")
    for flag, target in written.items():
        for folder in folders:
            if target is not None and target.resolve().is_relative_to(folder.resolve()):
                raise UserError(f"--{flag} '{target}' is in the watched folder '{folder}'; choose another folder")
    return folders


def expand_folders(paths: Sequence[str], *, allow_empty: bool = False) -> list[str]:
    """The paths, with the images in and below a folder, sorted, in its place.

    Raises UserError for a folder without images, unless `allow_empty`.
    """
    from imgloc.data.annotated.listing import list_folder

    expanded: list[str] = []
    for path in paths:
        if not Path(path).is_dir():
            expanded.append(path)
            continue
        listing = list_folder(Path(path))
        images = [str(Path(path) / name) for name in listing.images]
        for fault in listing.faults:
            print(f"imgloc locate: {printable(fault.where)}: {fault.what}", file=sys.stderr)
        if not images and not allow_empty:
            raise UserError(f"no images in the folder '{path}'; expected image files, or folders with some")
        expanded += images
    return expanded


def _folder(flag: str, name: str) -> Path | None:
    """A folder to write to, None where there is none. Raises UserError where it cannot be written to."""
    if not name:
        return None
    folder = Path(name)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--{flag} must be a folder, got the file '{folder}'")
    files.check_writable(folder)
    return folder


def _with_drawings(line: dict[str, Any], drawings: Mapping[str, Callable[[dict[str, Any]], str]]) -> dict[str, Any]:
    try:
        return {**line, **{key: draw(line) for key, draw in drawings.items()}}
    except UserError as error:
        return {"path": line["path"], "error": str(error)}


def _drawing(
    predict: Callable[[Path, str], tuple[SavedPartialPredictions, bytes]], classes: Sequence[str], folder: Path
) -> Callable[[dict[str, Any]], str]:
    """A function that writes the animated image for a line and returns its path; it replaces nothing but an earlier one."""
    from imgloc.reporting.partial_predictions import MARK, standalone_picture

    taken: set[str] = set()

    def draw(line: dict[str, Any]) -> str:
        path = Path(line["path"])
        target = folder / f"{files.unique_name(path.stem, taken)}.svg"
        files.check_replaceable(target, MARK, f"--partial-predictions '{folder}'")
        partial, png = predict(path, printable(path.name))
        files.write_text(target, standalone_picture(partial, png, classes))
        return str(target)

    return draw


def _heat_map_drawing(predict: Callable[[Path], ImageWithMap], folder: Path) -> Callable[[dict[str, Any]], str]:
    """A function that writes the image of a line under its score map, with its box, and returns its path; see `_drawing`."""
    from imgloc.draw import to_picture
    from imgloc.reporting.heat_maps import MARK, HeatMap, write_heat_map

    taken: set[str] = set()

    def draw(line: dict[str, Any]) -> str:
        path = Path(line["path"])
        target = folder / f"{files.unique_name(path.stem, taken)}.png"
        files.check_replaceable(target, MARK.encode(), f"--heat-maps '{folder}'")
        found = predict(path)
        picture = to_picture(found.pixels_hxwxc)
        box = line.get("box_upright", line.get("box"))
        shown = None if box is None else [edge / side for edge, side in zip(box, picture.size * 2, strict=True)]
        write_heat_map(picture, HeatMap("", found.map_hxw, shown), target)
        return str(target)

    return draw
