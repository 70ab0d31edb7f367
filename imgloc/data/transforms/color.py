"""Brightness, contrast, saturation and hue, all in one pass over the pixels."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from imgloc.data.transforms.options import check
from imgloc.data.transforms.pixels import from_picture, to_picture
from imgloc.data.transforms.window import uniform
from imgloc.types import Example, FloatArray, Uint8Array

GREY = np.array([0.299, 0.587, 0.114])  # luma of R'G'B' (ITU-R BT.601-7, 2.5.1)
SAME = np.eye(3)
TO_YIQ = np.array([GREY, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])  # NTSC's; the same luma
FROM_YIQ = np.linalg.inv(TO_YIQ)


def jitter(
    example: Example, random: np.random.Generator, *, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0,
    hue: float = 0.0,
) -> Example:  # fmt: skip
    """Colours changed at random: factors uniform in [1 - x, 1 + x] of brightness, contrast and saturation; hue turned by up to `hue`.

    hue: in turns of the colour circle, 0 to 0.5. Grey images have neither saturation nor hue. See `changed`.
    """
    for name, most in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
        check(name, most, 0.0, 1.0)
    check("hue", hue, 0.0, 0.5)
    if not (brightness or contrast or saturation or hue):
        return example
    factors = [uniform(random, 1 - most, 1 + most) for most in (brightness, contrast, saturation)]
    turn = uniform(random, -hue, hue)
    image_hxwxc = changed(example.image_hxwxc, brightness=factors[0], contrast=factors[1], saturation=factors[2], hue=turn)
    return dataclasses.replace(example, image_hxwxc=image_hxwxc)


def changed(
    image_hxwxc: Uint8Array, *, brightness: float = 1.0, contrast: float = 1.0, saturation: float = 1.0, hue: float = 0.0
) -> Uint8Array:
    """Pixels multiplied by `brightness`, spread about the image's mean grey by `contrast`, about their own grey by `saturation`.

    Then `hue` turns of the chroma plane of YIQ, which leave luma as it is. All are linear in R'G'B', so one 3x3 matrix and one
    vector do them in this order, with no rounding or clipping in between.
    """
    if image_hxwxc.shape[2] == 1:
        offset = (1 - contrast) * brightness * _means(image_hxwxc)[0]
        table = np.clip(np.arange(256) * brightness * contrast + offset + 0.5, 0, 255).astype(np.uint8)
        return np.take(table, image_hxwxc)
    matrix = (SAME * saturation + GREY * (1 - saturation)) * (brightness * contrast)
    # Grey is grey under saturation and hue: they leave the offset alone.
    offset = (1 - contrast) * brightness * float(GREY @ _means(image_hxwxc)) if contrast != 1 else 0.0
    if hue:
        cos, sin = math.cos(2 * math.pi * hue), math.sin(2 * math.pi * hue)
        matrix = FROM_YIQ @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ TO_YIQ @ matrix
    red, green, blue = matrix.tolist()
    return from_picture(to_picture(image_hxwxc).convert("RGB", (*red, offset, *green, offset, *blue, offset)))


def _means(image_hxwxc: Uint8Array) -> FloatArray:
    """Mean of each channel. Down the rows first: over rows and columns at once NumPy takes 20 times as long."""
    height, width, channels = image_hxwxc.shape
    columns = np.add.reduce(image_hxwxc.reshape(height, width * channels), axis=0, dtype=np.uint32)
    return np.asarray(columns.reshape(width, channels).sum(axis=0) / (height * width))
