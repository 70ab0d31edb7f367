"""What a window on an image shows: cropping, zooming, shifting and padding are all this one thing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from imgloc import boxes
from imgloc.data.transforms.pixels import resampled
from imgloc.types import BoolArray, Example, FloatArray, Uint8Array

TRIES = 10  # draws until an object of the image's own class stays; then the whole image is taken

#: Four edges xyxy in [0, 1] of the image's sides; beyond that where the window is larger than the image.
Window = tuple[float, float, float, float]
WHOLE: Window = (0.0, 0.0, 1.0, 1.0)


def view(example: Example, window: Window, size: tuple[int, int], *, color: tuple[int, ...], visible: float) -> Example:
    """What `window` shows, at `size` (height, width): pixels in one pass, boxes cut at its edges.

    Boxes of which less than `visible` of the area lies inside are dropped. `color` is what lies outside the image.
    """
    image_hxwxc = pixels(example.image_hxwxc, window, size, color=color)
    if window == WHOLE:
        return example if image_hxwxc is example.image_hxwxc else dataclasses.replace(example, image_hxwxc=image_hxwxc)
    cut_nx4, kept_n = seen(example.boxes_nx4, window, visible)
    return with_boxes(example, image_hxwxc, cut_nx4, kept_n)


def seen(boxes_nx4: FloatArray, window: Window, visible: float) -> tuple[FloatArray, BoolArray]:
    """Boxes (n, 4) in [0, 1] of the window, cut at its edges, and which of them (n,) have `visible` of their area inside."""
    moved = boxes.to_window(boxes_nx4.astype(np.float64), np.array(window))
    return cut(moved, visible)


def cut(moved_nx4: FloatArray, visible: float) -> tuple[FloatArray, BoolArray]:
    """Boxes (n, 4) cut at the edges of [0, 1], and which of them (n,) have at least `visible` of their area, and any at all, inside."""
    cut_nx4 = boxes.clipped(moved_nx4)
    inside_n = boxes.area(cut_nx4)
    rounded_nx4 = cut_nx4.astype(np.float32)
    # Rounding must not drop at visible=1 a box that lies on the edge; a box narrower than float32 can say is no box.
    return rounded_nx4, (inside_n >= (visible - 1e-6) * boxes.area(moved_nx4)) & (boxes.area(rounded_nx4) > 0)


def with_boxes(example: Example, image_hxwxc: Uint8Array, boxes_nx4: FloatArray, kept_n: BoolArray) -> Example:
    """The example with another image and those boxes that are kept; its label stays."""
    if kept_n.all():
        return dataclasses.replace(example, image_hxwxc=image_hxwxc, boxes_nx4=boxes_nx4)
    return dataclasses.replace(example, image_hxwxc=image_hxwxc, boxes_nx4=boxes_nx4[kept_n], labels_n=example.labels_n[kept_n])


def holds_object(example: Example, kept_n: BoolArray) -> bool:
    """Whether an object of the image's own class (any, where none is of that) is among the kept; True where there are no boxes."""
    own_n = example.labels_n == example.label
    return bool(kept_n[own_n].any() if own_n.any() else kept_n.any() or not len(kept_n))


def drawn_view(
    example: Example, draw: Callable[[], Window | None], size: tuple[int, int], *, color: tuple[int, ...], visible: float, keep: bool
) -> Example:
    """The view of the first window that `draw` gives which, if `keep`, holds an object of the image's own class; else the whole image.

    `draw` is asked TRIES times; it gives None where it found no window. See `view` for the rest.
    """
    for _ in range(TRIES):
        window = draw()
        if window == WHOLE:
            break
        if window is not None:
            cut_nx4, kept_n = seen(example.boxes_nx4, window, visible)  # before any pixel is looked at
            if not keep or holds_object(example, kept_n):
                return with_boxes(example, pixels(example.image_hxwxc, window, size, color=color), cut_nx4, kept_n)
    return view(example, WHOLE, size, color=color, visible=visible)


def pixels(image_hxwxc: Uint8Array, window: Window, size: tuple[int, int], *, color: tuple[int, ...]) -> Uint8Array:
    """What `window` shows of an image, at `size` (height, width).

    Where the image ends inside the window its edge is drawn at the nearest pixel, at most half a pixel away.
    """
    height, width = image_hxwxc.shape[:2]
    if window == WHOLE and size == (height, width):
        return image_hxwxc
    left, right, x0, x1 = _shown(window[0], window[2], width, size[1])
    top, bottom, y0, y1 = _shown(window[1], window[3], height, size[0])
    if left >= right or top >= bottom:
        return np.full((*size, image_hxwxc.shape[2]), color, np.uint8)
    shown = resampled(image_hxwxc, (x0, y0, x1, y1), bottom - top, right - left)
    if shown.shape[:2] == size:
        return shown
    canvas = np.full((*size, image_hxwxc.shape[2]), color, np.uint8)
    canvas[top:bottom, left:right] = shown
    return canvas


def _shown(low: float, high: float, side: int, pixels_out: int) -> tuple[int, int, float, float]:
    """Along one axis: from which to which pixel of the output the image is drawn, and from which to which of its own edges."""
    scale = pixels_out / (high - low)
    first = max(0, round(-low * scale))
    last = min(pixels_out, round((1 - low) * scale))
    source_low = min(max(low + first / scale, 0.0), 1.0) * side
    source_high = min(max(low + last / scale, 0.0), 1.0) * side
    return (first, last, source_low, source_high) if source_high > source_low else (0, 0, 0.0, 0.0)


def uniform(random: np.random.Generator, low: float, high: float) -> float:
    """A uniform draw; of an empty range its only value, without a draw."""
    return low + (high - low) * random.random() if high > low else low


def log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    """A draw whose logarithm is uniform: twice as large is as likely as half as large."""
    return math.exp(uniform(random, math.log(low), math.log(high)))
