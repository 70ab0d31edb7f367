"""A small `imagenet2012` of generated images, prepared by TFDS's builder."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests import tfds_shaped

TRAIN, VALIDATION = 700, 12  # 1 % of train is 7
MODES = {3: "L", 5: "CMYK"}  # some images of ImageNet are grayscale or CMYK; TFDS converts the CMYK images that it lists


def picture(number: int) -> Image.Image:
    """A smooth image whose size depends on the number; grayscale or CMYK for some numbers."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8))
    return coarse.resize((30 + number % 7, 20 + number % 5), Image.Resampling.BICUBIC).convert(MODES.get(number % 10, "RGB"))


def label_of(number: int) -> int:
    return 37 * number % 1000


def prepare(folder: Path) -> None:
    """Prepares TRAIN and VALIDATION images in a folder, as array_record."""

    def record(number: int, name: str) -> dict[str, Any]:
        file = io.BytesIO()
        picture(number).save(file, "JPEG", quality=95)
        file.seek(0)
        return {"image": file, "label": label_of(number), "file_name": name.format(number)}

    validation = range(TRAIN, TRAIN + VALIDATION)
    splits = {
        "train": [record(number, "n01440764_{}.JPEG") for number in range(TRAIN)],
        "validation": [record(number, "ILSVRC2012_val_{:08d}.JPEG") for number in validation],
    }
    tfds_shaped.prepare("imagenet2012", folder, splits)
