"""The images that all programs read, and how their operations are timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from skimage.data import astronaut

SIDES, BATCHES = (64, 512), (1, 64)
SECONDS = 0.5  # of calls, for each operation and size
TEMPLATE = 16  # pixels of the side of the template


def photographs(side: int, count: int) -> np.ndarray:
    """Returns uint8 images (count, side, side, 3): scikit-image's photograph of 512x512 pixels, reduced by averaging and shifted."""
    image = astronaut().astype(np.float64)
    step = len(image) // side
    small = image.reshape(side, step, side, step, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    return np.stack([np.roll(small, (3 * i, 5 * i), axis=(0, 1)) for i in range(count)])


def gray(images: np.ndarray) -> np.ndarray:
    """Returns uint8 gray images (b, h, w)."""
    return (images @ np.array([0.2125, 0.7154, 0.0721])).round().astype(np.uint8)


def images_per_second(call: Callable[[], Any], images: int) -> float:
    """Returns the images per second of processor time of repeated calls, after one that is not counted; each call is for all images."""
    call()
    began, calls = time.process_time(), 0
    while time.process_time() - began < SECONDS:
        call()
        calls += 1
    return images * calls / (time.process_time() - began)


def measured(operations: Callable[[int, int], Mapping[str, Callable[[], Any]]]) -> dict[str, float]:
    """Returns the images per second of each operation at each size, by `OPERATION/SIDE/BATCH`."""
    return {
        f"{name}/{side}/{batch}": round(images_per_second(call, batch), 2)
        for side in SIDES
        for batch in BATCHES
        for name, call in operations(side, batch).items()
    }
