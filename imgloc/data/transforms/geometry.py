"""Where things are: flips, crops, zooms, shifts and turns, of pixels and boxes together.

What a transform cuts off a box is gone from the box; a box of which less than `visible` of the area is left is dropped,
with its label. With `keep`, draws that would lose the image's object are drawn again, and in the end not made.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from imgloc import boxes
from imgloc.data.transforms import window as windows
from imgloc.data.transforms.options import check, check_color, check_range, check_size
from imgloc.data.transforms.pixels import mirrored, turned
from imgloc.errors import chosen
from imgloc.types import Example, FloatArray, Uint8Array


def flip(example: Example, random: np.random.Generator, *, chance: float = 0.5) -> Example:
    """Left and right exchanged, in `chance` of all calls."""
    check("flip", chance, 0.0, 1.0)
    return flipped(example) if chance and random.random() < chance else example


def flipped(example: Example) -> Example:
    """Left and right exchanged."""
    mirrored_nx4 = 1 - example.boxes_nx4[:, [2, 1, 0, 3]]
    mirrored_nx4[:, [1, 3]] = example.boxes_nx4[:, [1, 3]]
    return dataclasses.replace(example, image_hxwxc=mirrored(example.image_hxwxc), boxes_nx4=mirrored_nx4)


def scale_and_translate(
    example: Example, random: np.random.Generator, *, scale: tuple[float, float] = (0.8, 1.25), translate: float = 0.1,
    size: tuple[int, int] | None = None, color: int | tuple[int, ...] = 0, visible: float = 0.3, keep: bool = True,
) -> Example:  # fmt: skip
    """The image zoomed about its centre, then shifted; at `size` (height, width), of itself the image's own, in one pass.

    scale: range of the zoom, log-uniform; above 1 the image is enlarged, below 1 `color` surrounds it.
    translate: the largest shift either way, as a share of a side of the result.
    """
    check_range("scale", scale, 0.1, 10.0)
    check("translate", translate, 0.0, 1.0)
    check("visible", visible, 0.0, 1.0)
    if size:
        check_size("size", size)
    color = check_color(color, example.image_hxwxc.shape[2])

    def draw() -> windows.Window:
        zoom = windows.log_uniform(random, scale[0], scale[1])
        x, y = (0.5 - (0.5 + windows.uniform(random, -translate, translate)) / zoom for _ in range(2))
        return (x, y, x + 1 / zoom, y + 1 / zoom)

    return windows.drawn_view(example, draw, _size(example, size), color=color, visible=visible, keep=keep)


def random_resized_crop(
    example: Example, random: np.random.Generator, *, area: tuple[float, float] = (0.3, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3), size: tuple[int, int] | None = None, visible: float = 0.3, keep: bool = True,
) -> Example:  # fmt: skip
    """A crop at a uniform place, squashed to `size` (height, width), of itself the image's own (Szegedy et al., 2015, arXiv:1409.4842, 6).

    area: range of the crop's share of the image, uniform. aspect: range of its width by its height in pixels, log-uniform.
    The whole image where windows.TRIES draws give no crop that fits and, with `keep`, holds the object.
    """
    check_range("area", area, 1e-4, 1.0)
    check_range("aspect", aspect, 0.1, 10.0)
    check("visible", visible, 0.0, 1.0)
    if size:
        check_size("size", size)
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
    if area[0] == 1.0:  # no crop is asked for
        return windows.view(example, windows.WHOLE, _size(example, size), color=black, visible=visible)
    return windows.drawn_view(example, draw, _size(example, size), color=black, visible=visible, keep=keep)


def rotate(
    example: Example, random: np.random.Generator, *, degrees: float = 10.0, hull: str = "ellipse", color: int | tuple[int, ...] = 0,
    visible: float = 0.3, keep: bool = True,
) -> Example:  # fmt: skip
    """The image turned about its centre by a uniform angle up to `degrees` either way, at its own size; corners are lost, `color` fills.

    A box says nothing of the shape in it, so its turned form must be guessed. hull: "ellipse", the box of the turned ellipse
    inscribed in it, close to the best in expected IoU (Kalra et al., Towards Rotation Invariance in Object Detection, ICCV 2021);
    or "corners", the box of its turned corners, which never cuts an object and is too large for most.
    """
    check("rotate", degrees, 0.0, 180.0)
    check("visible", visible, 0.0, 1.0)
    chosen("augmentation option 'hull'", hull, HULLS)
    color = check_color(color, example.image_hxwxc.shape[2])
    for _ in range(windows.TRIES if degrees else 0):
        angle = math.radians(windows.uniform(random, -degrees, degrees))
        cut_nx4, kept_n = windows.cut(_turned_boxes(example, angle, hull), visible)
        if not keep or windows.holds_object(example, kept_n):
            return windows.with_boxes(example, _turned_pixels(example.image_hxwxc, angle, color), cut_nx4, kept_n)
    return example


HULLS = {
    "ellipse": lambda half_nx2, turn: np.sqrt(half_nx2**2 @ (turn**2).T),
    "corners": lambda half_nx2, turn: half_nx2 @ np.abs(turn).T,
}


def _turned_boxes(example: Example, angle: float, hull: str) -> FloatArray:
    """Boxes (n, 4) float64 around the turned content of an example's boxes, in [0, 1] of its image; they may reach out of it."""
    height, width = example.image_hxwxc.shape[:2]
    pixel_nx4 = boxes.to_pixels(example.boxes_nx4.astype(np.float64), width, height)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = np.array([width, height]) / 2
    center_nx2 = ((pixel_nx4[:, :2] + pixel_nx4[:, 2:]) / 2 - middle) @ turn.T + middle
    half_nx2 = HULLS[hull]((pixel_nx4[:, 2:] - pixel_nx4[:, :2]) / 2, turn)
    return np.asarray(boxes.from_pixels(np.concatenate([center_nx2 - half_nx2, center_nx2 + half_nx2], axis=-1), width, height))


def _turned_pixels(image_hxwxc: Uint8Array, angle: float, color: tuple[int, ...]) -> Uint8Array:
    """An image turned about its centre: x towards y, clockwise as it is looked at; bilinear."""
    height, width = image_hxwxc.shape[:2]
    cos, sin, x, y = math.cos(angle), math.sin(angle), (width - 1) / 2, (height - 1) / 2  # middles of pixels
    source = [[cos, sin, x - cos * x - sin * y], [-sin, cos, y + sin * x - cos * y]]  # where each pixel of the result comes from
    return turned(image_hxwxc, np.array(source), height, width, color=color)


def _size(example: Example, size: tuple[int, int] | None) -> tuple[int, int]:
    height, width = example.image_hxwxc.shape[:2]
    return (size[0], size[1]) if size else (height, width)
