"""Windows on an image: cropping, zooming, shifting and padding are all one operation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from imgloc import boxes
from imgloc.data.transforms.pixels import resample
from imgloc.types import BoolArray, Example, FloatArray, Uint8Array

MAX_TRIES = 10  # draws until an object of the image's own class remains; after that the whole image is used

#: Edges xyxy in [0, 1] of the image's sides, or beyond them if the window is larger than the image.
Window = tuple[float, float, float, float]
WHOLE_IMAGE: Window = (0.0, 0.0, 1.0, 1.0)


def apply_window(example: Example, window: Window, size: tuple[int, int], *, color: tuple[int, ...], visible: float) -> Example:
    """The part of the example inside `window`, resampled once to `size` (height, width); boxes are clipped to it.

    Boxes with less than `visible` of their area inside are dropped. `color` fills the window outside the image.
    """
    image_hxwxc = window_pixels(example.image_hxwxc, window, size, color=color)
    if window == WHOLE_IMAGE:
        return example if image_hxwxc is example.image_hxwxc else dataclasses.replace(example, image_hxwxc=image_hxwxc)
    clipped_nx4, kept_n = boxes_in_window(example.boxes_nx4, window, visible)
    return replace_image_and_boxes(example, image_hxwxc, clipped_nx4, kept_n)


def boxes_in_window(boxes_nx4: FloatArray, window: Window, visible: float) -> tuple[FloatArray, BoolArray]:
    """Boxes (n, 4) in [0, 1] of the window, clipped to it, and a mask (n,) of those with `visible` of their area inside."""
    return clip_boxes(boxes.to_window(boxes_nx4.astype(np.float64), np.array(window)), visible)


def clip_boxes(boxes_nx4: FloatArray, visible: float) -> tuple[FloatArray, BoolArray]:
    """Boxes (n, 4) clipped to [0, 1], and a mask (n,) of those with at least `visible` of their area, and a positive area, inside."""
    clipped_nx4 = boxes.clip_to_image(boxes_nx4)
    inside_n = boxes.area(clipped_nx4)
    rounded_nx4 = clipped_nx4.astype(np.float32)
    # With visible=1, rounding must not drop a box on the edge. A box that is narrower than float32 resolves has no area.
    return rounded_nx4, (inside_n >= (visible - 1e-6) * boxes.area(boxes_nx4)) & (boxes.area(rounded_nx4) > 0)


def replace_image_and_boxes(example: Example, image_hxwxc: Uint8Array, boxes_nx4: FloatArray, kept_n: BoolArray) -> Example:
    """The example with another image and with the boxes that the mask keeps; the image's label does not change."""
    if kept_n.all():
        return dataclasses.replace(example, image_hxwxc=image_hxwxc, boxes_nx4=boxes_nx4)
    difficult_n = None if example.difficult_n is None else example.difficult_n[kept_n]
    labels_n = example.labels_n[kept_n]
    return dataclasses.replace(example, image_hxwxc=image_hxwxc, boxes_nx4=boxes_nx4[kept_n], labels_n=labels_n, difficult_n=difficult_n)


def keeps_object(example: Example, kept_n: BoolArray) -> bool:
    """Whether the mask keeps an object of the image's own class (any object if none has that class); True without boxes."""
    own_n = example.labels_n == example.label
    return bool(kept_n[own_n].any() if own_n.any() else kept_n.any() or not len(kept_n))


def apply_random_window(
    example: Example, draw: Callable[[], Window | None], size: tuple[int, int], *, color: tuple[int, ...], visible: float, keep: bool
) -> Example:
    """The example in a random window, see `apply_window`; the whole image after MAX_TRIES rejected draws.

    `draw` returns None if its window is invalid. With `keep`, windows that drop every object of the image's own class are rejected.
    """
    for _ in range(MAX_TRIES):
        window = draw()
        if window == WHOLE_IMAGE:
            break
        if window is not None:
            clipped_nx4, kept_n = boxes_in_window(example.boxes_nx4, window, visible)  # cheap: no pixel is read
            if not keep or keeps_object(example, kept_n):
                return replace_image_and_boxes(example, window_pixels(example.image_hxwxc, window, size, color=color), clipped_nx4, kept_n)
    return apply_window(example, WHOLE_IMAGE, size, color=color, visible=visible)


def window_pixels(image_hxwxc: Uint8Array, window: Window, size: tuple[int, int], *, color: tuple[int, ...]) -> Uint8Array:
    """The part of an image inside `window`, at `size` (height, width).

    An edge of the image inside the window is drawn at the nearest pixel, at most half a pixel away.
    """
    height, width = image_hxwxc.shape[:2]
    if window == WHOLE_IMAGE and size == (height, width):
        return image_hxwxc
    left, right, x0, x1 = _overlap(window[0], window[2], width, size[1])
    top, bottom, y0, y1 = _overlap(window[1], window[3], height, size[0])
    if left >= right or top >= bottom:
        return np.full((*size, image_hxwxc.shape[2]), color, np.uint8)
    resampled = resample(image_hxwxc, (x0, y0, x1, y1), bottom - top, right - left)
    if resampled.shape[:2] == size:
        return resampled
    canvas = np.full((*size, image_hxwxc.shape[2]), color, np.uint8)
    canvas[top:bottom, left:right] = resampled
    return canvas


def _overlap(low: float, high: float, side: int, output_side: int) -> tuple[int, int, float, float]:
    """The overlap of image and window along one axis: first and last output pixel, and the edges in pixels of the image."""
    scale = output_side / (high - low)
    first = max(0, round(-low * scale))
    last = min(output_side, round((1 - low) * scale))
    source_low = min(max(low + first / scale, 0.0), 1.0) * side
    source_high = min(max(low + last / scale, 0.0), 1.0) * side
    return (first, last, source_low, source_high) if source_high > source_low else (0, 0, 0.0, 0.0)


def uniform(random: np.random.Generator, low: float, high: float) -> float:
    """A uniform random number. If the range is a single value, that is returned and the generator does not advance."""
    return low + (high - low) * random.random() if high > low else low


def log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    """A random number whose logarithm is uniform."""
    return math.exp(uniform(random, math.log(low), math.log(high)))
