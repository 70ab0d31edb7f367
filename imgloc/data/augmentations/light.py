"""A light augmentation for small images, up to about 64 pixels: small zooms and shifts, flips and color jitter."""

from __future__ import annotations

import numpy as np

from imgloc.data.transforms import color, geometry
from imgloc.data.transforms.options import check_number
from imgloc.types import Example


def augment(
    example: Example, random: np.random.Generator, *, size: tuple[int, int] | None = None,
    scale: float = 0.15, translate: float = 0.1, visible: float = 0.3, keep: bool = True, flip: float = 0.5,
    brightness: float = 0.1, contrast: float = 0.1, saturation: float = 0.1,
) -> Example:  # fmt: skip
    """The image at `size` (height, width) or its own size, zoomed, shifted, flipped and recolored. The value 0 turns a transform off.

    scale: the zoom is log-uniform from 1 / (1 + scale) to 1 + scale. translate: largest shift as a share of a side, padded with black.
    visible: a box with less than this share of its area left is dropped. keep: draw again if the object is lost.
    flip: probability. brightness, contrast, saturation: largest change of the factor.
    """
    check_number("scale", scale, 0.0, 4.0)
    zooms = (1 / (1 + scale), 1 + scale)
    example = geometry.random_scale_and_translate(example, random, scale=zooms, translate=translate, size=size, visible=visible, keep=keep)
    example = geometry.random_horizontal_flip(example, random, probability=flip)
    return color.color_jitter(example, random, brightness=brightness, contrast=contrast, saturation=saturation)


def enlarges(*, scale: float = 0.15, **others: object) -> float:
    """The largest enlargement of a part of the image relative to resizing the whole image to `size`."""
    check_number("scale", scale, 0.0, 4.0)
    return 1 + scale
