"""Random blur and sharpening. Boxes do not change."""

from __future__ import annotations

import dataclasses

import numpy as np

from imgloc.data.transforms.options import check_number, check_range
from imgloc.data.transforms.pixels import convolve, gaussian_blur
from imgloc.data.transforms.window import uniform
from imgloc.types import Example, Uint8Array

IDENTITY = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float64)
SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13


def random_blur(
    example: Example, random: np.random.Generator, *, probability: float = 0.5, sigma: tuple[float, float] = (0.1, 1.5)
) -> Example:
    """The example after a Gaussian blur, with a probability. Its standard deviation in pixels is uniform in the range `sigma`."""
    check_number("blur", probability, 0.0, 1.0)
    check_range("sigma", sigma, 0.0, 100.0)
    if not probability or random.random() >= probability:
        return example
    return dataclasses.replace(example, image_hxwxc=gaussian_blur(example.image_hxwxc, uniform(random, sigma[0], sigma[1])))


def random_sharpen(
    example: Example, random: np.random.Generator, *, probability: float = 0.5, factor: tuple[float, float] = (1.0, 2.0)
) -> Example:
    """The example after `adjust_sharpness`, with a probability. The factor is uniform in the range `factor`."""
    check_number("sharpen", probability, 0.0, 1.0)
    check_range("factor", factor, 0.0, 10.0)
    if not probability or random.random() >= probability:
        return example
    return dataclasses.replace(example, image_hxwxc=adjust_sharpness(example.image_hxwxc, uniform(random, factor[0], factor[1])))


def adjust_sharpness(image_hxwxc: Uint8Array, factor: float) -> Uint8Array:
    """smoothed + factor x (image - smoothed): sharper for a factor above 1, smoother below 1.

    The smoothing kernel is 3x3 with weight 5 at its center, as in Pillow's ImageEnhance.Sharpness.
    """
    return convolve(image_hxwxc, factor * IDENTITY + (1 - factor) * SMOOTH)
