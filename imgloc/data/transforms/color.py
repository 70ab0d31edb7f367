"""Brightness, contrast, saturation and hue, changed in one pass over the pixels."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from imgloc.data.transforms.options import check_number
from imgloc.data.transforms.pixels import apply_color_matrix, channel_means
from imgloc.data.transforms.window import uniform
from imgloc.image.luma import BT601
from imgloc.types import Example, Uint8Array

LUMA = np.array(BT601)
IDENTITY = np.eye(3)
TO_YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])  # NTSC, which has the same luma
FROM_YIQ = np.linalg.inv(TO_YIQ)


def color_jitter(
    example: Example, random: np.random.Generator, *, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0,
    hue: float = 0.0,
) -> Example:  # fmt: skip
    """The example with randomly changed colors, see `adjust_color`.

    The factors of brightness, contrast and saturation are uniform in [1 - x, 1 + x]. The change of hue is uniform in [-hue, hue],
    in turns of the color circle, 0 to 0.5.
    """
    for name, largest in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
        check_number(name, largest, 0.0, 1.0)
    check_number("hue", hue, 0.0, 0.5)
    if not (brightness or contrast or saturation or hue):
        return example
    factors = [uniform(random, 1 - largest, 1 + largest) for largest in (brightness, contrast, saturation)]
    turn = uniform(random, -hue, hue)
    image_hxwxc = adjust_color(example.image_hxwxc, brightness=factors[0], contrast=factors[1], saturation=factors[2], hue=turn)
    return dataclasses.replace(example, image_hxwxc=image_hxwxc)


def adjust_color(
    image_hxwxc: Uint8Array, *, brightness: float = 1.0, contrast: float = 1.0, saturation: float = 1.0, hue: float = 0.0
) -> Uint8Array:
    """The image with `brightness` scaled, then `contrast` about the mean luma, then `saturation` about each pixel's luma.

    At last, `hue` rotates the chroma plane of YIQ by that many turns, which preserves luma. Every step is affine in R'G'B', so the
    image is transformed once, without rounding or clipping in between. Grayscale images have neither saturation nor hue.
    """
    if image_hxwxc.shape[2] == 1:
        offset = (1 - contrast) * brightness * channel_means(image_hxwxc)[0]
        table = np.clip(np.arange(256) * brightness * contrast + offset + 0.5, 0, 255).astype(np.uint8)
        return np.take(table, image_hxwxc)
    matrix = (IDENTITY * saturation + LUMA * (1 - saturation)) * (brightness * contrast)
    # The offset is gray, so saturation and hue preserve it.
    offset = (1 - contrast) * brightness * float(LUMA @ np.array(channel_means(image_hxwxc))) if contrast != 1 else 0.0
    if hue:
        cos, sin = math.cos(2 * math.pi * hue), math.sin(2 * math.pi * hue)
        matrix = FROM_YIQ @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ TO_YIQ @ matrix
    return apply_color_matrix(image_hxwxc, np.concatenate([matrix, np.full((3, 1), offset)], axis=1))
