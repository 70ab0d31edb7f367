"""imgloc data show"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from imgloc.cli import data_choice
from imgloc.errors import UserError

HELP = "write a page of pictures with their true boxes, drawn at random, to be looked at before training"
EXAMPLES = """\
The page opens offline; a name that ends in .png gives one picture instead.
With --augmented, images are those that a training of the recipe and this seed begins with, as the model sees them.

examples:
  imgloc data show photos/ --out photos.html
  imgloc data show --config configs/digits_cnn.py --augmented --out augmented.png
"""
MOST = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    data_choice.add_arguments(parser, split="train")
    parser.add_argument("--out", required=True, metavar="FILE", help="where to write: a name that ends in .html or .png")
    parser.add_argument("--count", type=int, default=36, metavar="N", help="how many pictures (default: 36)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the choice (default: 0)")
    parser.add_argument("--augmented", action="store_true", help="as the recipe's training sees them")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Write the page, and say where it is."""
    if not 1 <= parsed.count <= MOST or parsed.seed < 0:
        raise UserError(f"--count {parsed.count}, --seed {parsed.seed}; possible: 1 to {MOST} pictures, a seed from 0 on")
    if parsed.augmented and (not parsed.config or parsed.split != "train"):
        raise UserError("--augmented goes with --config, whose augmentation it shows, and with the split train")
    if parsed.split not in data_choice.SPLITS:
        raise UserError(f"--split '{parsed.split}'; possible: {', '.join(data_choice.SPLITS)}")
    from imgloc.report import sheet

    out = Path(parsed.out)
    sheet.check_out(out)
    config = data_choice.chosen_config(parsed, rest)
    from imgloc.config import build
    from imgloc.data.batches import preview

    source = build.make_source(config.data, parsed.split, config.seed)
    if parsed.augmented:
        view = build.make_input_spec(config.data, source.info.channels)
        augmentation = build.make_augmentation(config.data.augment, view)
        examples = list(preview.as_trained(source, parsed.count, seed=parsed.seed, view=view, augmentation=augmentation))
        fit = f"{config.data.resize} to {view.size[1]} x {view.size[0]}"
        how = f"as training of seed {parsed.seed} sees them: augmentation {config.data.augment.name}, {fit}"
    else:
        at_least = (sheet.SIDE, sheet.SIDE)
        examples = preview.drawn(source, parsed.count, seed=parsed.seed, at_least=at_least)
        how = f"drawn at random (seed {parsed.seed})"
    total = "endless" if source.info.endless else f"{len(source):,}"
    note = f"{len(examples)} of the {total} images of split {parsed.split}, {how}, with their true boxes"
    sheet.write_sheet(examples, source.info.classes, out, title=data_choice.title(config), note=note)
    print(f"pictures: {out}")
    return 0
