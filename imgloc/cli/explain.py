"""imgloc explain"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from imgloc.cli.parsers import check_rest
from imgloc.errors import UserError

HELP = "show where in images a score of a model comes from, by heat maps of several methods"
EXAMPLES = """\
The sheet has a row for each image and a column for each method. Each line on standard output is a JSON object: the path of the image,
the method, its layer if it has one, the target, its score (of a class its probability), the box of the map in pixels of the file as it
is stored, and the sheet; or {"path":, "error":}. The box is that of the largest region above --threshold times the highest value of the
map.

examples:
  imgloc explain runs/a photo.jpg
  imgloc explain runs/a photos/ --methods grad_cam,layer_cam,integrated_gradients --out sheet.png
  imgloc explain runs/a photo.jpg --target seven --layer last
  imgloc explain runs/detector photo.jpg --target detection:0:left     # which pixels move the left edge of the best detection?
  imgloc explain runs/a --list
  imgloc explain runs/a --evaluate --split test --methods grad_cam,layer_cam,gradient    # a table with intervals

exit codes: 0 a map for each image; 1 some images failed, or the sheet cannot be written; 2 a mistake in the command or the model
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("model", metavar="MODEL", help="a run folder, or a trained model: RUN/model or a copy of it")
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="image files, folders of them, or video files")
    text = "explanation methods, separated by commas (default: grad_cam,layer_cam,integrated_gradients)"
    parser.add_argument("--methods", default="grad_cam,layer_cam,integrated_gradients", metavar="NAMES", help=text)
    text = "a class, edge:left (top, right, bottom), label:0, detection:0 or detection:0:left (default: the prediction)"
    parser.add_argument("--target", default="", metavar="WHAT", help=text)
    text = "the layer that the CAM methods explain by (default: the last one that the whole score depends on, or the model's own)"
    parser.add_argument("--layer", default="", metavar="NAME", help=text)
    parser.add_argument("--threshold", type=float, default=0.2, metavar="T", help="of the box of a map, 0 to 1 (default: 0.2)")
    parser.add_argument("--frames", type=int, default=8, metavar="N", help="frames of a video, spread evenly over it (default: 8)")
    parser.add_argument("--checkpoint", default="best", metavar="WHICH", help="best (on validation; default) or last")
    parser.add_argument("--out", default="explanations.png", metavar="FILE", help="the sheet to write (default: explanations.png)")
    parser.add_argument("--evaluate", action="store_true", help="score the methods on a split of RUN instead, beside controls")
    parser.add_argument("--split", default="validation", metavar="SPLIT", help="of --evaluate (default: validation)")
    parser.add_argument("--count", type=int, default=200, metavar="N", help="examples of --evaluate (default: 200)")
    parser.add_argument("--list", action="store_true", help="print the methods with their meaning and cost, and the layers of MODEL")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Explains, writes the sheet and prints the lines."""
    check_rest(rest, "explain")
    if parsed.images and (parsed.list or parsed.evaluate):
        raise UserError("--list and --evaluate take no images")
    if parsed.count < 1:
        raise UserError(f"--count must be at least 1, got {parsed.count}")
    if not parsed.images and not parsed.list and not parsed.evaluate:
        raise UserError("no images; expected image files, folders of them, or video files")
    from imgloc.devices import runtime

    runtime.prepare()
    from imgloc.api.explaining import explain, write_explanations
    from imgloc.inference.load import open_model
    from imgloc.reporting.heat_maps import check_out

    if parsed.list:
        return _print_list(parsed)
    methods = [name for name in parsed.methods.split(",") if name]
    if parsed.evaluate:
        return _print_scores(parsed, methods)
    check_out(Path(parsed.out))
    failed: list[str] = []

    def report(name: str, error: UserError) -> None:
        failed.append(name)
        print(json.dumps({"path": name, "error": str(error)}), flush=True)

    found = explain(
        open_model(parsed.model, checkpoint=parsed.checkpoint), parsed.images, methods,
        target=parsed.target, layer=parsed.layer, threshold=parsed.threshold, frames=parsed.frames,
        on_error=report,
    )  # fmt: skip
    if found:
        write_explanations(found, parsed.out)
    for each in found:
        box = None if each.box is None else [round(edge, 1) for edge in each.box]
        line = {
            "path": each.name,
            "method": each.method,
            "layer": each.layer or None,
            "target": each.target,
            "score": round(each.score, 4),
            "box": box,
        }
        print(json.dumps({**line, "file": parsed.out}))
    return 1 if failed else 0


def _print_scores(parsed: argparse.Namespace, methods: Sequence[str]) -> int:
    from imgloc.api.explanation_scores import scores_of_run, table

    scores = scores_of_run(
        parsed.model, methods, parsed.split, target=parsed.target, layer=parsed.layer, count=parsed.count, checkpoint=parsed.checkpoint,
        seed=0,
    )  # fmt: skip
    print(table(scores))
    return 0


def _print_list(parsed: argparse.Namespace) -> int:
    from imgloc.config import registry
    from imgloc.explanation.method import Method
    from imgloc.inference.explain import layer_shapes
    from imgloc.inference.load import open_model

    trained = open_model(parsed.model, checkpoint=parsed.checkpoint)
    for name in registry.names("explanation.methods"):
        method = registry.declared("explanation.methods", name, Method)
        print(f"method {name}: {method.meaning} ({method.cost})")
    for name, shape in layer_shapes(trained).items():
        print(f"layer {name}: {' x '.join(str(size) for size in shape)}")
    return 0
