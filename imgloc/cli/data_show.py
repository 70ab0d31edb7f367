"""imgloc data show"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from imgloc.cli import data_choice
from imgloc.errors import UserError, unknown

HELP = "write a page of randomly chosen images with their true boxes, for inspection before training"
EXAMPLES = """\
The page needs no network. If FILE ends in .png, one image is written instead.
--augmented shows the first images of a training run with this recipe and seed, as the model receives them.

examples:
  imgloc data show photos/ --out photos.html
  imgloc data show --config configs/digits_cnn.py --augmented --out augmented.png
"""
MAX_COUNT = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    data_choice.add_arguments(parser, split="train")
    parser.add_argument("--out", required=True, metavar="FILE", help="the file to write, ending in .html or .png")
    parser.add_argument("--count", type=int, default=36, metavar="N", help="number of images (default: 36)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="random seed of the choice (default: 0)")
    parser.add_argument("--augmented", action="store_true", help="show images with the augmentation of the recipe")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Writes the page and prints its path."""
    if not 1 <= parsed.count <= MAX_COUNT or parsed.seed < 0:
        raise UserError(f"expected --count from 1 to {MAX_COUNT} and --seed of at least 0, got --count {parsed.count} --seed {parsed.seed}")
    if parsed.augmented and (not parsed.config or parsed.split != "train"):
        raise UserError("--augmented requires --config, whose augmentation it shows, and --split train")
    if parsed.split not in data_choice.SPLITS:
        raise unknown("split", parsed.split, data_choice.SPLITS)
    from imgloc.reporting import sheet

    out = Path(parsed.out)
    sheet.check_out(out)
    config = data_choice.read_config(parsed, rest)
    from imgloc.config import build
    from imgloc.data.batches import preview

    source = build.make_source(config.data, parsed.split, config.seed)
    if parsed.augmented:
        spec = build.make_input_spec(config.data, source.info.channels)
        augmentation = build.make_augmentation(config.data.augment, spec)
        examples = list(preview.training_examples(source, parsed.count, seed=parsed.seed, spec=spec, augmentation=augmentation))
        resize = f"{config.data.resize} to {spec.size[1]} x {spec.size[0]}"
        how = f"as in training with seed {parsed.seed}: augmentation {config.data.augment.name}, {resize}"
    else:
        examples = preview.random_examples(source, parsed.count, seed=parsed.seed, at_least=(sheet.SIDE, sheet.SIDE))
        how = f"chosen at random (seed {parsed.seed})"
    total = "endless" if source.info.endless else f"{len(source):,}"
    note = f"{len(examples)} of the {total} images of split {parsed.split}, {how}, with their true boxes"
    sheet.write_sheet(examples, source.info.classes, out, title=data_choice.title(config), note=note)
    print(f"pictures: {out}")
    return 0
