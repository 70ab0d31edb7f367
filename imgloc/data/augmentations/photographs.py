"""For photographs: random resized crops, flips and colours; blur, sharpening, turns and holes where asked for."""

from __future__ import annotations

import math

import numpy as np

from imgloc.data.transforms import color, erase, geometry, sharpness
from imgloc.data.transforms.options import check, check_range, check_size
from imgloc.types import Example


def augment(
    example: Example, random: np.random.Generator, *, size: tuple[int, int] | None = None,
    smallest: float = 0.3, largest: float = 1.0, aspect: tuple[float, float] = (3 / 4, 4 / 3), visible: float = 0.3, keep: bool = True,
    rotate: float = 0.0, flip: float = 0.5,
    brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2, hue: float = 0.0,
    blur: float = 0.0, sigma: tuple[float, float] = (0.1, 1.5), sharpen: float = 0.0, factor: tuple[float, float] = (1.0, 2.0),
    cutout: float = 0.0, side: tuple[float, float] = (0.1, 0.3), covers: float = 0.5,
) -> Example:  # fmt: skip
    """A crop of the image at `size` (height, width; of itself the image's own), flipped, turned, and so on; each part is off at 0.

    smallest, largest: share of the image's area that a crop has; 1 and 1 for no crop. aspect: its width by its height in pixels.
    visible: a box of which less than this share is left is dropped. keep: crops that lose the object are drawn again.
    rotate: degrees, either way. flip, blur, sharpen, cutout: in what share of images. brightness, contrast, saturation: largest
    change of the factor; hue: in turns. sigma: of the blur, pixels. factor: of sharpening. side: of the hole, shares of the
    image's; covers: the share of a box that it may hide.
    """
    check("smallest", smallest, 1e-4, 1.0)
    check("largest", largest, smallest, 1.0)
    example = geometry.random_resized_crop(example, random, area=(smallest, largest), aspect=aspect, size=size, visible=visible, keep=keep)
    example = geometry.flip(example, random, chance=flip)
    example = geometry.rotate(example, random, degrees=rotate, visible=visible, keep=keep)
    example = color.jitter(example, random, brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
    example = sharpness.blur(example, random, chance=blur, sigma=sigma)
    example = sharpness.sharpen(example, random, chance=sharpen, factor=factor)
    return erase.cutout(example, random, chance=cutout, side=side, covers=covers)


def enlarges(
    *, size: tuple[int, int] | None = None, smallest: float = 0.3, aspect: tuple[float, float] = (3 / 4, 4 / 3), **others: object
) -> float:
    """By how much a crop may be enlarged beyond what bringing the whole image to `size` (square where none is given) does.

    With both sides of an image at least this times those of `size`, every crop has at least as many pixels a side as `size`.
    """
    check("smallest", smallest, 1e-4, 1.0)
    check_range("aspect", aspect, 0.1, 10.0)
    if size:
        check_size("size", size)
    if smallest == 1:
        return 1.0
    shape = size[1] / size[0] if size else 1.0
    # A crop of share s and aspect r of H x W has height sqrt(s H W / r), width sqrt(s H W r); H, W >= e x size.
    return max(1.0, math.sqrt(max(aspect[1] / shape, shape / aspect[0]) / smallest))
