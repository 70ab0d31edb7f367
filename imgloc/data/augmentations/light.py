"""For small images, 64 pixels and less: a little larger or smaller, a little elsewhere, flipped, slightly other colours."""

from __future__ import annotations

import numpy as np

from imgloc.data.transforms import color, geometry
from imgloc.data.transforms.options import check
from imgloc.types import Example


def augment(
    example: Example, random: np.random.Generator, *, size: tuple[int, int] | None = None,
    scale: float = 0.15, translate: float = 0.1, visible: float = 0.3, keep: bool = True, flip: float = 0.5,
    brightness: float = 0.1, contrast: float = 0.1, saturation: float = 0.1,
) -> Example:  # fmt: skip
    """The image at `size` (height, width; of itself its own), zoomed and shifted, flipped, in other colours; each part is off at 0.

    scale: enlarged by up to this, or as much reduced. translate: largest shift, as a share of a side; black comes in. visible: a box
    of which less than this share is left is dropped. keep: what loses the object is drawn again. flip: in what share of images.
    brightness, contrast, saturation: largest change of the factor.
    """
    check("scale", scale, 0.0, 4.0)
    zooms = (1 / (1 + scale), 1 + scale)
    example = geometry.scale_and_translate(example, random, scale=zooms, translate=translate, size=size, visible=visible, keep=keep)
    example = geometry.flip(example, random, chance=flip)
    return color.jitter(example, random, brightness=brightness, contrast=contrast, saturation=saturation)


def enlarges(*, scale: float = 0.15, **others: object) -> float:
    """By how much a part of the image may be enlarged beyond what bringing the whole to `size` does."""
    check("scale", scale, 0.0, 4.0)
    return 1 + scale
