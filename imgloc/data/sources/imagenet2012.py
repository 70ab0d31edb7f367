"""ImageNet, ILSVRC 2012 (Russakovsky et al., 2015, arXiv:1409.0575), as TFDS has prepared it: 1,000 classes, no boxes.

TFDS's `validation` is our test split, as its `test` has no labels; for choosing, the last 1 % of
its `train` is held out (records are shuffled when they are written, so that is a random 1 %).
Pixels are as they are stored: in ImageNet, EXIF's orientation counts for nothing.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from imgloc import files
from imgloc.data import decode
from imgloc.errors import UserError, reason, unknown
from imgloc.types import Example, Info

PARTS = {"train": "train[:99%]", "validation": "train[99%:]", "test": "validation"}  # our split -> TFDS's
PREPARE = (
    "put ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar (image-net.org) into downloads/manual of that folder, install tensorflow "
    "and run: python -c \"import tensorflow_datasets as tfds; tfds.builder('imagenet2012', {}file_format='array_record')"
    ".download_and_prepare()\""
)


def source(split: str, *, seed: int, folder: str = "") -> ImageNet2012:
    """A split (train, validation, test), the same for every seed, read record by record and decoded when asked for.

    `folder` is TFDS's data_dir, its own default where empty; `imagenet2012` must lie there as array_record.
    """
    if split not in PARTS:
        raise unknown("split", split, PARTS)
    import tensorflow_datasets as tfds

    where = folder or "its default folder (~/tensorflow_datasets)"
    hint = PREPARE.format(f"data_dir='{folder}', " if folder else "")
    part = PARTS[split]
    whole = part.split("[", maxsplit=1)[0]
    try:
        builder = tfds.builder("imagenet2012", data_dir=folder or None, file_format="array_record")
        records = builder.as_data_source(split=part, decoders={"image": tfds.decode.SkipDecoding()})
        shards = builder.info.splits[whole]
        classes = tuple(builder.info.features["label"].names)
    except Exception as error:  # TFDS raises a type of its own for each reason that data is not there
        raise UserError(f"TFDS has no prepared imagenet2012 (array_record) in {where}; {hint}") from error
    content = [builder.info.full_name, part, list(shards.shard_lengths), shards.num_bytes]
    first = shards.num_examples - len(records) if split == "validation" else 0
    return ImageNet2012(whole, first, records, classes, files.fingerprint(content))


@dataclass(frozen=True)
class ImageNet2012:
    """See `source`; its records are those of TFDS's `split` from number `first` on."""

    split: str
    first: int
    records: Any  # random access to {"image": bytes, "label", "file_name"}
    classes: tuple[str, ...]
    fingerprint: str

    @property
    def info(self) -> Info:
        return Info(classes=self.classes, channels=3)

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(self._group(index) for index in range(len(self)))

    def _group(self, index: int) -> str:
        """A photograph by its place in TFDS's split: its file name would take reading all of the data set."""
        return f"imagenet2012-{self.split}-{self.first + index}"

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Example:
        record = self.records[index]
        name = record["file_name"].decode()
        try:
            with Image.open(io.BytesIO(record["image"])) as image:
                pixels = decode.to_array(image, channels=3)
        except (OSError, ValueError, SyntaxError) as error:
            raise UserError(f"cannot decode {name} of imagenet2012: {reason(error)}") from error
        return Example(
            image_hxwxc=pixels,
            boxes_nx4=np.zeros((0, 4), np.float32),
            labels_n=np.zeros(0, np.int32),
            label=int(record["label"]),
            id=name,
            group=self._group(index),
        )
