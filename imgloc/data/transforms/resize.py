"""Images brought to a fixed size: stretched, letterboxed or cropped."""

from __future__ import annotations

import dataclasses

import numpy as np

from imgloc import boxes
from imgloc.data.transforms.options import check_color, check_size
from imgloc.data.transforms.pixels import resize_image
from imgloc.data.transforms.window import window_pixels
from imgloc.types import Example, FloatArray


def resize(example: Example, *, size: tuple[int, int]) -> Example:
    """The example stretched to `size` (height, width). Its boxes, in [0, 1], do not change."""
    check_size("size", size)
    image_hxwxc = resize_image(example.image_hxwxc, size[0], size[1])
    return example if image_hxwxc is example.image_hxwxc else dataclasses.replace(example, image_hxwxc=image_hxwxc)


def letterbox(example: Example, *, size: tuple[int, int], color: int | tuple[int, ...] = 0) -> tuple[Example, FloatArray]:
    """The example scaled to fit into `size` (height, width) with its aspect ratio preserved, centered and padded with `color`.

    Also returns the box (4,) float32 of the image in [0, 1] of the result, through which `boxes.from_letterbox` maps predictions back.
    """
    check_size("size", size)
    color = check_color(color, example.image_hxwxc.shape[2])
    height, width = example.image_hxwxc.shape[:2]
    scale = min(size[0] / height, size[1] / width)
    inner_h, inner_w = (min(max(1, round(side * scale)), full) for side, full in zip((height, width), size, strict=True))
    top, left = (size[0] - inner_h) // 2, (size[1] - inner_w) // 2
    content = np.array([left / size[1], top / size[0], (left + inner_w) / size[1], (top + inner_h) / size[0]])
    window = (-left / inner_w, -top / inner_h, (size[1] - left) / inner_w, (size[0] - top) / inner_h)
    image_hxwxc = window_pixels(example.image_hxwxc, window, (size[0], size[1]), color=color)
    moved_nx4 = boxes.from_window(example.boxes_nx4.astype(np.float64), content)
    moved = dataclasses.replace(example, image_hxwxc=image_hxwxc, boxes_nx4=boxes.clip_to_image(moved_nx4).astype(np.float32))
    return moved, content.astype(np.float32)


def crop(example: Example, *, size: tuple[int, int]) -> tuple[Example, FloatArray]:
    """The largest part of the example in its center with the aspect ratio of `size` (height, width), at that size.

    Also returns the box (4,) float32 of the whole image in coordinates of the result; it reaches beyond [0, 1] where a side was cut off.
    `boxes.from_letterbox` maps predictions back through it.
    """
    check_size("size", size)
    height, width = example.image_hxwxc.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    shown_h, shown_w = size[0] / scale / height, size[1] / scale / width  # shares of the sides
    window = ((1 - shown_w) / 2, (1 - shown_h) / 2, (1 + shown_w) / 2, (1 + shown_h) / 2)
    image_hxwxc = window_pixels(example.image_hxwxc, window, size, color=(0,) * example.image_hxwxc.shape[2])
    content = boxes.to_window(np.array([0.0, 0.0, 1.0, 1.0]), np.array(window))
    moved_nx4 = boxes.from_window(example.boxes_nx4.astype(np.float64), content)
    moved = dataclasses.replace(example, image_hxwxc=image_hxwxc, boxes_nx4=boxes.clip_to_image(moved_nx4).astype(np.float32))
    return moved, content.astype(np.float32)
