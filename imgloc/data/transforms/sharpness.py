"""Blurred and sharpened images; boxes stay as they are."""

from __future__ import annotations

import dataclasses

import numpy as np

from imgloc.data.transforms.options import check, check_range
from imgloc.data.transforms.pixels import blurred, filtered
from imgloc.data.transforms.window import uniform
from imgloc.types import Example, Uint8Array

SAME = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float64)
SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13


def blur(example: Example, random: np.random.Generator, *, chance: float = 0.5, sigma: tuple[float, float] = (0.1, 1.5)) -> Example:
    """A Gaussian blur in `chance` of all calls, its standard deviation uniform in the range `sigma`, in pixels."""
    check("blur", chance, 0.0, 1.0)
    check_range("sigma", sigma, 0.0, 100.0)
    if not chance or random.random() >= chance:
        return example
    deviation = uniform(random, sigma[0], sigma[1])
    return dataclasses.replace(example, image_hxwxc=blurred(example.image_hxwxc, deviation))


def sharpen(example: Example, random: np.random.Generator, *, chance: float = 0.5, factor: tuple[float, float] = (1.0, 2.0)) -> Example:
    """Sharpened in `chance` of all calls, by a factor uniform in the range `factor`; see `sharpened`."""
    check("sharpen", chance, 0.0, 1.0)
    check_range("factor", factor, 0.0, 10.0)
    if not chance or random.random() >= chance:
        return example
    return dataclasses.replace(example, image_hxwxc=sharpened(example.image_hxwxc, uniform(random, factor[0], factor[1])))


def sharpened(image_hxwxc: Uint8Array, factor: float) -> Uint8Array:
    """An image beyond (factor > 1) or towards (< 1) its smoothed self: smoothed + factor x (image - smoothed).

    Smoothed is the mean of 3x3 pixels in which the middle counts five times, as in Pillow's ImageEnhance.Sharpness.
    """
    return filtered(image_hxwxc, factor * SAME + (1 - factor) * SMOOTH)
