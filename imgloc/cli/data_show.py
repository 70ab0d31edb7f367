"""imgloc data show"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from imgloc.cli import data_choice
from imgloc.errors import UserError

HELP = "write a page of randomly chosen images with their true boxes, for inspection before training"
EXAMPLES = """\
The page needs no network. If FILE ends in .png, one image is written instead.
--augmented shows the first images of a training run with this recipe and seed, as the model receives them.

examples:
  imgloc data show photos/ --out photos.html
  imgloc data show --config digits_cnn --augmented --out augmented.png

exit codes: 0 written; 1 a file cannot be read or written; 2 a mistake in the command or data that cannot be read
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    data_choice.add_arguments(parser, split="train")
    parser.add_argument("--out", required=True, metavar="FILE", help="the file to write, ending in .html or .png")
    parser.add_argument("--count", type=int, default=36, metavar="N", help="number of images (default: 36)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="random seed of the choice (default: 0)")
    parser.add_argument("--augmented", action="store_true", help="show images with the augmentation of the recipe")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Writes the page and prints its path."""
    if parsed.augmented and (not parsed.config or parsed.split != "train"):
        raise UserError("--augmented requires --config, whose augmentation it shows, and --split train")
    from imgloc.api.data import show_data

    config = data_choice.read_config(parsed, rest)
    out = show_data(config, parsed.out, split=parsed.split, count=parsed.count, seed=parsed.seed, augmented=parsed.augmented)
    print(f"pictures: {out}")
    return 0
