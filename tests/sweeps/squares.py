"""A small source: a bright square of one of two sizes on a dark image. With `broken`, training data cannot be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imgloc import boxes, files
from imgloc.errors import unknown
from imgloc.randomness import generator
from imgloc.types import Example, Info

SIZES = {"train": 64, "validation": 16, "test": 24}


def source(split: str, *, seed: int, side: int = 16, broken: bool = False) -> Squares:
    if split not in SIZES:
        raise unknown("split", split, SIZES)
    return Squares(split, side, broken and split == "train")


@dataclass(frozen=True)
class Squares:
    split: str
    side: int
    broken: bool = False

    @property
    def info(self) -> Info:
        return Info(classes=("small", "large"), channels=1)

    @property
    def fingerprint(self) -> str:
        return files.fingerprint(["squares", self.split, self.side])

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(f"{self.split}-{index}" for index in range(len(self)))

    def __len__(self) -> int:
        return SIZES[self.split]

    def __getitem__(self, index: int) -> Example:
        if self.broken:
            raise OSError(f"square {index} is unreadable")
        size = 4 + 4 * (index % 2)
        x, y = generator(0, f"square {self.split}", index).integers(self.side - size, size=2)
        image = np.full((self.side, self.side, 1), 30, np.uint8)
        image[y : y + size, x : x + size] = 200
        box = boxes.from_pixels(np.array([x, y, x + size, y + size], np.float32), self.side, self.side)
        name = f"{self.split}-{index}"
        return Example(image, box[None], np.array([index % 2], np.int32), index % 2, id=name, group=name)
