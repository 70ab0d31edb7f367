"""Writes the images and boxes of a recipe's data as a COCO folder, so that other programs train on the same pixels as imgloc.

    python experiments/detection/write_coco.py --config RECIPE --out FOLDER [--train 20000] [--config.KEY=VALUE ...]

FOLDER gets annotations/instances_{train,val,test}.json and images/{train,val,test}/*.png. The images are those that the source
returns, before resizing and augmentation. A split that is endless needs a number of examples (--train).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from imgloc import boxes
from imgloc.config.build import make_source
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import override
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation
from imgloc.data.formats import coco
from imgloc.errors import UserError, errors_in_one_line
from imgloc.types import Source

FOLDER_OF_SPLIT = {"train": "train", "validation": "val", "test": "test"}
COMPRESSION = 1  # of PNG: writing and reading are faster, and the pixels are the same


def write_split(source: Source, split: str, count: int, out: Path) -> list[Annotation]:
    """Writes the first `count` images of a split (0: all); returns their annotations. Raises UserError for equal file names."""
    if source.info.endless and not count:
        raise UserError(f"split '{split}' is endless; give a number of its examples with --{split}")
    folder = Path("images") / FOLDER_OF_SPLIT[split]
    (out / folder).mkdir(parents=True, exist_ok=True)
    annotations: dict[str, Annotation] = {}
    for index in range(min(count or len(source), len(source))):
        example = source[index]
        file = str(folder / f"{Path(example.id).stem}.png")
        if file in annotations:
            raise UserError(f"two examples of split '{split}' have the file name '{file}'")
        height, width = example.image_hxwxc.shape[:2]
        pixels = example.image_hxwxc[..., 0] if example.image_hxwxc.shape[2] == 1 else example.image_hxwxc
        Image.fromarray(pixels).save(out / file, compress_level=COMPRESSION)
        annotations[file] = Annotation(
            file=file,
            boxes_nx4=boxes.to_pixels(np.asarray(example.boxes_nx4, np.float64), width, height),
            names=tuple(source.info.classes[label] for label in example.labels_n),
            width=width,
            height=height,
            split=split,
        )
    return list(annotations.values())


@errors_in_one_line()
def main() -> None:
    """Writes the splits that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--config", required=True, help="a recipe: its data are written; --config.KEY=VALUE changes its keys")
    parser.add_argument("--out", required=True, type=Path, help="the folder to write")
    for split in FOLDER_OF_SPLIT:
        parser.add_argument(f"--{split}", type=int, default=0, metavar="N", help=f"the number of {split} examples (default: all)")
    arguments, overrides = parser.parse_known_args()
    config = override(read_recipe(arguments.config), overrides)
    sources = {split: make_source(config.data, split, config.seed) for split in FOLDER_OF_SPLIT}
    entries: list[Annotation] = []
    for split, source in sources.items():
        entries += write_split(source, split, getattr(arguments, split), arguments.out)
        print(f"{split}: {sum(entry.split == split for entry in entries)} images")
    coco.write(AnnotatedFolder("coco", sources["train"].info.classes, tuple(entries), ()), arguments.out)


if __name__ == "__main__":
    main()
