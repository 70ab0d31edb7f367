"""Nothing: images as they are, or at the size asked for."""

from __future__ import annotations

import numpy as np

from imgloc.data.transforms import resize
from imgloc.types import Example


def augment(example: Example, random: np.random.Generator, *, size: tuple[int, int] | None = None) -> Example:
    """The example, its image squashed to `size` (height, width) where that is given."""
    return resize.resize(example, size=size) if size else example


def enlarges(*, size: tuple[int, int] | None = None) -> float:
    """By how much a part of the image may be enlarged beyond what bringing it to `size` does: not at all, 1."""
    return 1.0
