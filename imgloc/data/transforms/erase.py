"""Occlusion of random parts of an image. Boxes do not change."""

from __future__ import annotations

import dataclasses

import numpy as np

from imgloc import boxes
from imgloc.data.transforms.options import check_color, check_number, check_range
from imgloc.data.transforms.window import MAX_TRIES, uniform
from imgloc.types import Example


def cutout(
    example: Example, random: np.random.Generator, *, probability: float = 0.5, side: tuple[float, float] = (0.1, 0.3),
    covers: float = 0.5, color: int | tuple[int, ...] = 128,
) -> Example:  # fmt: skip
    """The example with a rectangle of `color` at a uniform place, with a probability (DeVries and Taylor, 2017, arXiv:1708.04552).

    side: the range of the rectangle's width and height, as shares of the image's. The rectangle lies inside the image and covers at
    most `covers` of the area of any box; after MAX_TRIES draws that cover more, the example is returned unchanged.
    """
    check_number("cutout", probability, 0.0, 1.0)
    check_range("side", side, 0.0, 1.0)
    check_number("covers", covers, 0.0, 1.0)
    color = check_color(color, example.image_hxwxc.shape[2])
    if not probability or random.random() >= probability:
        return example
    height, width = example.image_hxwxc.shape[:2]
    boxes_nx4 = example.boxes_nx4.astype(np.float64)
    limit_n = (covers + 1e-6) * boxes.area(boxes_nx4)
    for _ in range(MAX_TRIES):
        hole_h, hole_w = (round(uniform(random, side[0], side[1]) * length) for length in (height, width))
        y, x = int(random.integers(height - hole_h + 1)), int(random.integers(width - hole_w + 1))
        hole = np.array([x / width, y / height, (x + hole_w) / width, (y + hole_h) / height])
        if (boxes.intersection(boxes_nx4, np.broadcast_to(hole, boxes_nx4.shape)) <= limit_n).all():
            image_hxwxc = example.image_hxwxc.copy()
            image_hxwxc[y : y + hole_h, x : x + hole_w] = color
            return dataclasses.replace(example, image_hxwxc=image_hxwxc)
    return example
