"""A data set of ImageNet's shape that TFDS's own builder of `imagenet2012` has prepared, from pictures made here."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image

TRAIN, VALIDATION = 700, 12  # 1 % of train is 7
MODES = {3: "L", 5: "CMYK"}  # some of ImageNet's files are grey; of the CMYK ones TFDS converts those that it knows


def picture(number: int) -> Image.Image:
    """A smooth picture of a size of its own; grey or CMYK for some numbers."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8))
    return coarse.resize((30 + number % 7, 20 + number % 5), Image.Resampling.BICUBIC).convert(MODES.get(number % 10, "RGB"))


def label_of(number: int) -> int:
    return 37 * number % 1000


def prepare(folder: Path) -> None:
    """Prepare TRAIN and VALIDATION pictures in a folder, as array_record."""
    tfds: Any = pytest.importorskip("tensorflow_datasets")

    def examples(numbers: range, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for number in numbers:
            file = io.BytesIO()
            picture(number).save(file, "JPEG", quality=95)
            file.seek(0)
            yield name.format(number), {"image": file, "label": label_of(number), "file_name": name.format(number)}

    builder = tfds.builder("imagenet2012", data_dir=str(folder), file_format="array_record")

    def split_generators(_: Any) -> dict[str, Any]:
        train, validation = range(TRAIN), range(TRAIN, TRAIN + VALIDATION)
        return {"train": examples(train, "n01440764_{}.JPEG"), "validation": examples(validation, "ILSVRC2012_val_{:08d}.JPEG")}

    with mock.patch.object(builder, "_split_generators", split_generators):
        builder.download_and_prepare()
