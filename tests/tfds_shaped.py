"""Small data sets of generated records, prepared by TFDS's builders."""

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
    """An encoded image of one color, as a builder passes it to TFDS."""
    color = 40 + 20 * (number % 10)
    file = io.BytesIO()
    Image.new(mode, size, (color, 0, 255 - color) if mode == "RGB" else color).save(file, coding)
    file.seek(0)
    return file


def prepare(name: str, folder: Path, splits: dict[str, list[dict[str, Any]]], names: dict[str, list[str]] | None = None) -> None:
    """Prepares records as array_record with TFDS's builder; `names` are class names that the builder reads from files."""
    tfds: Any = pytest.importorskip("tensorflow_datasets")
    import tensorflow_datasets.object_detection.coco as coco

    # The builder of COCO uses one type of TensorFlow.
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
