"""Geometric transforms of pixels and boxes together: flips, crops, zooms, shifts and rotations.

Boxes are clipped to the result, and a box with less than `visible` of its area left is dropped with its label. With `keep`, a draw
that would drop every object of the image's own class is repeated, and after MAX_TRIES draws the transform is not applied.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from imgloc import boxes
from imgloc.data.transforms import window as windows
from imgloc.data.transforms.options import check_color, check_number, check_range, check_size
from imgloc.data.transforms.pixels import flip_image, warp_affine
from imgloc.errors import look_up
from imgloc.types import Example, FloatArray, Uint8Array


def random_horizontal_flip(example: Example, random: np.random.Generator, *, probability: float = 0.5) -> Example:
    """The example flipped left to right, with a probability."""
    check_number("flip", probability, 0.0, 1.0)
    return horizontal_flip(example) if probability and random.random() < probability else example


def horizontal_flip(example: Example) -> Example:
    """The example flipped left to right."""
    flipped_nx4 = 1 - example.boxes_nx4[:, [2, 1, 0, 3]]
    flipped_nx4[:, [1, 3]] = example.boxes_nx4[:, [1, 3]]
    return dataclasses.replace(example, image_hxwxc=flip_image(example.image_hxwxc), boxes_nx4=flipped_nx4)


def random_scale_and_translate(
    example: Example, random: np.random.Generator, *, scale: tuple[float, float] = (0.8, 1.25), translate: float = 0.1,
    size: tuple[int, int] | None = None, color: int | tuple[int, ...] = 0, visible: float = 0.3, keep: bool = True,
) -> Example:  # fmt: skip
    """The example zoomed about its center, then shifted, at `size` (height, width) or its own size; resampled once.

    scale: the range of the zoom, log-uniform. Above 1 the image is enlarged, below 1 it is surrounded by `color`.
    translate: the largest shift in either direction, as a share of the result's side.
    """
    check_range("scale", scale, 0.1, 10.0)
    check_number("translate", translate, 0.0, 1.0)
    check_number("visible", visible, 0.0, 1.0)
    size = _output_size(example, size)
    color = check_color(color, example.image_hxwxc.shape[2])

    def draw() -> windows.Window:
        zoom = windows.log_uniform(random, scale[0], scale[1])
        x, y = (0.5 - (0.5 + windows.uniform(random, -translate, translate)) / zoom for _ in range(2))
        return (x, y, x + 1 / zoom, y + 1 / zoom)

    return windows.apply_random_window(example, draw, size, color=color, visible=visible, keep=keep)


def random_resized_crop(
    example: Example, random: np.random.Generator, *, area: tuple[float, float] = (0.3, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3), size: tuple[int, int] | None = None, visible: float = 0.3, keep: bool = True,
) -> Example:  # fmt: skip
    """A crop at a uniform place, stretched to `size` (height, width) or the image's own size (Szegedy et al., 2015, arXiv:1409.4842, 6).

    area: the range of the crop's share of the image, uniform. aspect: the range of its width / height in pixels, log-uniform.
    The whole image is used after MAX_TRIES draws without a crop that fits and, with `keep`, contains the object.
    """
    check_range("area", area, 1e-4, 1.0)
    check_range("aspect", aspect, 0.1, 10.0)
    check_number("visible", visible, 0.0, 1.0)
    size = _output_size(example, size)
    height, width = example.image_hxwxc.shape[:2]

    def draw() -> windows.Window | None:
        pixels = height * width * windows.uniform(random, area[0], area[1])
        ratio = windows.log_uniform(random, aspect[0], aspect[1])
        crop_w, crop_h = max(1, round(math.sqrt(pixels * ratio))), max(1, round(math.sqrt(pixels / ratio)))
        if crop_w > width or crop_h > height:
            return None
        x, y = int(random.integers(width - crop_w + 1)), int(random.integers(height - crop_h + 1))
        return (x / width, y / height, (x + crop_w) / width, (y + crop_h) / height)

    black = (0,) * example.image_hxwxc.shape[2]
    if area[0] == 1.0:  # no crop: no random number is drawn
        return windows.apply_window(example, windows.WHOLE_IMAGE, size, color=black, visible=visible)
    return windows.apply_random_window(example, draw, size, color=black, visible=visible, keep=keep)


def random_rotation(
    example: Example, random: np.random.Generator, *, degrees: float = 10.0, hull: str = "ellipse", color: int | tuple[int, ...] = 0,
    visible: float = 0.3, keep: bool = True,
) -> Example:  # fmt: skip
    """The example rotated about its center by a uniform angle in [-degrees, degrees], at its own size; `color` fills the corners.

    The box of a rotated object depends on the object's shape, which is unknown. hull: "ellipse" assumes the ellipse inscribed in the
    box, which is close to the best expected IoU (Kalra et al., Towards Rotation Invariance in Object Detection, ICCV 2021); "corners"
    encloses the rotated corners of the box, which never cuts an object but is too large for most.
    """
    check_number("rotate", degrees, 0.0, 180.0)
    check_number("visible", visible, 0.0, 1.0)
    look_up("augmentation option 'hull'", hull, HULLS)
    color = check_color(color, example.image_hxwxc.shape[2])
    for _ in range(windows.MAX_TRIES if degrees else 0):
        angle = math.radians(windows.uniform(random, -degrees, degrees))
        clipped_nx4, kept_n = windows.clip_boxes(_rotated_boxes(example, angle, hull), visible)
        if not keep or windows.keeps_object(example, kept_n):
            return windows.replace_image_and_boxes(example, _rotated_image(example.image_hxwxc, angle, color), clipped_nx4, kept_n)
    return example


HULLS = {  # half the sides of a rotated shape's box, from half the sides of its box and the rotation matrix
    "ellipse": lambda half_nx2, rotation_2x2: np.sqrt(half_nx2**2 @ (rotation_2x2**2).T),
    "corners": lambda half_nx2, rotation_2x2: half_nx2 @ np.abs(rotation_2x2).T,
}


def _rotated_boxes(example: Example, angle: float, hull: str) -> FloatArray:
    """Boxes (n, 4) float64 around the rotated objects, in [0, 1] of the image or beyond it."""
    height, width = example.image_hxwxc.shape[:2]
    pixel_nx4 = boxes.to_pixels(example.boxes_nx4.astype(np.float64), width, height)
    rotation_2x2 = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = np.array([width, height]) / 2
    center_nx2 = ((pixel_nx4[:, :2] + pixel_nx4[:, 2:]) / 2 - middle) @ rotation_2x2.T + middle
    half_nx2 = HULLS[hull]((pixel_nx4[:, 2:] - pixel_nx4[:, :2]) / 2, rotation_2x2)
    return np.asarray(boxes.from_pixels(np.concatenate([center_nx2 - half_nx2, center_nx2 + half_nx2], axis=-1), width, height))


def _rotated_image(image_hxwxc: Uint8Array, angle: float, color: tuple[int, ...]) -> Uint8Array:
    """The image rotated clockwise about its center, bilinear."""
    height, width = image_hxwxc.shape[:2]
    cos, sin, x, y = math.cos(angle), math.sin(angle), (width - 1) / 2, (height - 1) / 2  # pixel centers
    source = [[cos, sin, x - cos * x - sin * y], [-sin, cos, y + sin * x - cos * y]]  # from output to input pixels
    return warp_affine(image_hxwxc, np.array(source), height, width, color=color)


def _output_size(example: Example, size: tuple[int, int] | None) -> tuple[int, int]:
    """`size`, or the image's own. Raises UserError for a size that is not valid."""
    if size:
        check_size("size", size)
        return size[0], size[1]
    return example.image_hxwxc.shape[0], example.image_hxwxc.shape[1]
