"""Small data sets in the layout of TFDS's own, prepared by its builders from records made here."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image

WIDTH, HEIGHT = 20, 10


def encoded(number: int, coding: str = "JPEG", *, mode: str = "RGB", size: tuple[int, int] = (WIDTH, HEIGHT)) -> io.BytesIO:
    """A picture of one colour, as the file that a builder would hand on."""
    colour = 40 + 20 * (number % 10)
    file = io.BytesIO()
    Image.new(mode, size, (colour, 0, 255 - colour) if mode == "RGB" else colour).save(file, coding)
    file.seek(0)
    return file


def prepare(name: str, folder: Path, splits: dict[str, list[dict[str, Any]]], names: dict[str, list[str]] | None = None) -> None:
    """Prepare records as array_record, by TFDS's own builder of that name; `names` of classes that it sets when it reads."""
    tfds: Any = pytest.importorskip("tensorflow_datasets")
    import tensorflow_datasets.object_detection.coco as coco

    # The builder of COCO names one type by TensorFlow.
    with mock.patch.object(coco, "tf", SimpleNamespace(int64=np.int64)):
        builder = tfds.builder(name, data_dir=str(folder), file_format="array_record")
    for path, of_feature in (names or {}).items():
        feature: Any = builder.info.features
        for part in path.split("/"):
            feature = feature[part]
        feature.names = of_feature
    generators = {split: ((str(key), record) for key, record in enumerate(records)) for split, records in splits.items()}
    with mock.patch.object(builder, "_split_generators", return_value=generators):
        builder.download_and_prepare()
