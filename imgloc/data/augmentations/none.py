"""No augmentation: images are at most resized."""

from __future__ import annotations

import numpy as np

from imgloc.data.transforms import resize
from imgloc.types import Example


def augment(example: Example, random: np.random.Generator, *, size: tuple[int, int] | None = None) -> Example:
    """The example, stretched to `size` (height, width) unless that is None."""
    return resize.resize(example, size=size) if size else example


def enlarges(*, size: tuple[int, int] | None = None) -> float:
    """The largest enlargement relative to resizing the whole image to `size`: 1."""
    return 1.0
