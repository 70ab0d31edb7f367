"""Crops of the photographs that scikit-image contains, as integers of 8 bits, and in [0, 1]."""

from __future__ import annotations

from functools import cache

import numpy as np
import skimage.color
import skimage.data

from imgloc.types import FloatArray, Uint8Array

# The first row and column of each crop, and the height and width that it has by default.
CROPS = {
    "chelsea": (60, 100, 61, 64),
    "coffee": (100, 200, 63, 71),
    "astronaut": (40, 180, 64, 64),
    "camera": (100, 200, 65, 72),
}
COLOR = ("chelsea", "coffee", "astronaut")


@cache
def pixels(name: str, height: int = 0, width: int = 0) -> Uint8Array:
    """The crop (h, w, 3), or (h, w) of the camera man, of another size than its own where that is given."""
    top, left, *size = CROPS[name]
    crop: Uint8Array = getattr(skimage.data, name)()[top : top + (height or size[0]), left : left + (width or size[1])]
    return crop


def photograph(name: str, height: int = 0, width: int = 0) -> FloatArray:
    """The crop in float32."""
    return (pixels(name, height, width) / 255).astype(np.float32)


def gray_crops(size: int = 96) -> Uint8Array:
    """The gray levels of all crops, (4, size, size, 1)."""
    grays = (pixels("camera", size, size), *(skimage.color.rgb2gray(pixels(name, size, size)) * 255 for name in COLOR))
    return np.stack([np.round(image).astype(np.uint8)[..., None] for image in grays])


def batch(image: FloatArray | Uint8Array) -> FloatArray | Uint8Array:
    """An image (h, w) or (h, w, c) as a batch of one, (1, h, w, c)."""
    return np.atleast_3d(image)[None]


def single(images_1xhxwxc: object) -> FloatArray:
    """The image of a batch of one, without the axis of a single channel."""
    image = np.asarray(images_1xhxwxc)[0]
    return image[..., 0] if image.shape[-1] == 1 else image
