"""The augmentation of photographs: random resized crops, flips and color jitter; optionally rotation, blur, sharpening and cutout."""

from __future__ import annotations

import math

import numpy as np

from imgloc.data.transforms import color, erase, geometry, sharpness
from imgloc.data.transforms.options import check_number, check_range, check_size
from imgloc.types import Example


def augment(
    example: Example, random: np.random.Generator, *, size: tuple[int, int] | None = None,
    smallest: float = 0.3, largest: float = 1.0, aspect: tuple[float, float] = (3 / 4, 4 / 3), visible: float = 0.3, keep: bool = True,
    rotate: float = 0.0, flip: float = 0.5,
    brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2, hue: float = 0.0,
    blur: float = 0.0, sigma: tuple[float, float] = (0.1, 1.5), sharpen: float = 0.0, factor: tuple[float, float] = (1.0, 2.0),
    cutout: float = 0.0, side: tuple[float, float] = (0.1, 0.3), covers: float = 0.5,
) -> Example:  # fmt: skip
    """A random crop at `size` (height, width) or the image's own size, then the other transforms. The value 0 turns a transform off.

    smallest, largest: range of the crop's share of the image's area; 1 and 1 for no crop. aspect: range of its width / height in pixels.
    visible: a box with less than this share of its area left is dropped. keep: draw again if the object is lost.
    rotate: largest angle in degrees. flip, blur, sharpen, cutout: probabilities. brightness, contrast, saturation: largest change of
    the factor. hue: largest change in turns. sigma: range of the blur's standard deviation in pixels. factor: range of the sharpness.
    side: range of the erased rectangle's sides, as shares of the image's. covers: the share of a box that it may cover.
    """
    check_number("smallest", smallest, 1e-4, 1.0)
    check_number("largest", largest, smallest, 1.0)
    example = geometry.random_resized_crop(example, random, area=(smallest, largest), aspect=aspect, size=size, visible=visible, keep=keep)
    example = geometry.random_horizontal_flip(example, random, probability=flip)
    example = geometry.random_rotation(example, random, degrees=rotate, visible=visible, keep=keep)
    example = color.color_jitter(example, random, brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
    example = sharpness.random_blur(example, random, probability=blur, sigma=sigma)
    example = sharpness.random_sharpen(example, random, probability=sharpen, factor=factor)
    return erase.cutout(example, random, probability=cutout, side=side, covers=covers)


def enlarges(
    *, size: tuple[int, int] | None = None, smallest: float = 0.3, aspect: tuple[float, float] = (3 / 4, 4 / 3), **others: object
) -> float:
    """The largest enlargement of a crop relative to resizing the whole image to `size` (a square if None).

    If both sides of an image are at least this many times those of `size`, every crop has at least as many pixels per side as `size`.
    """
    check_number("smallest", smallest, 1e-4, 1.0)
    check_range("aspect", aspect, 0.1, 10.0)
    if size:
        check_size("size", size)
    if smallest == 1:
        return 1.0
    shape = size[1] / size[0] if size else 1.0
    # A crop of share s and aspect r of H x W has height sqrt(s H W / r), width sqrt(s H W r); H, W >= e x size.
    return max(1.0, math.sqrt(max(aspect[1] / shape, shape / aspect[0]) / smallest))
