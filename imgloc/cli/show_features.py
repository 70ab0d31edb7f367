"""imgloc show-features"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from imgloc.cli.parsers import check_rest
from imgloc.errors import UserError

HELP = "write a sheet of the results of operations on images, such as edges, blurs and histograms of gradients"
EXAMPLES = """\
Operations are those of config.data.preprocess; each reads the image itself. Options follow a colon.

examples:
  imgloc show-features photo.jpg --ops canny,hog,lbp
  imgloc show-features photo.jpg --ops canny:sigma=2:high=0.4,gaussian:sigma=5 --out edges.png
  imgloc show-features --list

exit codes: 0 written; 1 a file cannot be written; 2 a mistake in the command, or an image that cannot be read
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="image files")
    text = "operations with their options, separated by commas, or all (default: canny,hog,lbp)"
    parser.add_argument("--ops", default="canny,hog,lbp", metavar="NAMES", help=text)
    parser.add_argument("--out", default="features.png", metavar="FILE", help="the PNG to write (default: features.png)")
    text = "reduce images to at most N pixels on their longer side first (default: 480)"
    parser.add_argument("--size", type=int, default=480, metavar="N", help=text)
    parser.add_argument("--list", action="store_true", help="print the operations with their meaning and options")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Writes the sheet and prints its path."""
    check_rest(rest, "show-features")
    if bool(parsed.images) == parsed.list:
        raise UserError("--list takes no images" if parsed.list else "no images; expected image files, or --list")
    from imgloc.devices import runtime

    runtime.prepare()
    from imgloc.api.showing import show_features
    from imgloc.config.registry import names

    if parsed.list:
        return _print_list()
    operations = names("operations") if parsed.ops == "all" else [text for text in parsed.ops.split(",") if text]
    print(f"pictures: {show_features(parsed.images, operations, parsed.out, size=parsed.size)}")
    return 0


def _print_list() -> int:
    from imgloc.config.build import keyword_options
    from imgloc.config.registry import declared, names
    from imgloc.interfaces import Operation

    for name in names("operations"):
        operation = declared("operations", name, Operation)
        options = "".join(f":{key}={value}" for key, value in keyword_options(operation.function).items())
        print(f"{name}{options}: {operation.meaning}")
    return 0
