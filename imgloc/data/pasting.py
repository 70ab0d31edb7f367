"""Pasting of cut-out objects into an image, with the boxes of their visible pixels (Dwibedi et al., 2017, arXiv:1708.01642)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from imgloc import boxes
from imgloc.data.transforms.pixels import resize_image
from imgloc.data.transforms.window import log_uniform
from imgloc.types import BoolArray, FloatArray, IntArray, Uint8Array

SUPPORT = 32  # of 255: the box of an object encloses its pixels of at least this opacity, and no others are drawn
PLACES = 20  # that are tried for an object before it is left out
MAX_ENLARGED = 2.0  # larger factors show blurred objects
SMALLEST = 2  # pixels: the shortest side of a pasted object


class CutOut(NamedTuple):
    """An object without its surroundings."""

    pixels_hxwx3: Uint8Array
    alpha_hxw: Uint8Array | None  # its opacity; None: a rectangle, whose edges are feathered
    label: int
    relative_size: float = 1.0  # square root of its area over that of the image it was cut from; 1: the whole image


class Layer(NamedTuple):
    """An object at the size at which it is pasted; its opacity reaches SUPPORT at each of the four edges."""

    premultiplied_hxwx3: FloatArray  # float32: pixels times opacity
    opacity_hxw: FloatArray  # float32, 0 or from SUPPORT / 255 to 1


@dataclass(frozen=True)
class Pasting:
    """How objects are pasted."""

    objects: tuple[int, int]  # the range of their number, uniform
    scale: tuple[float, float]  # the range of their size, log-uniform: the square root of the share of the image that a box has
    max_overlap: float  # the largest share of the smaller of two pasted boxes that the other may cover
    flip: float  # probability of a horizontal flip
    feather: float  # pixels: the standard deviation of the opacity of rectangles at their edges
    own_size: bool = False  # whether `scale` is a factor of the size that an object has in its own image


class Pasted(NamedTuple):
    """An image with pasted objects."""

    image_hxwx3: Uint8Array
    boxes_nx4: FloatArray  # in pixels
    labels_n: IntArray
    covered_hxw: BoolArray  # by any of them


def paste_objects(image_hxwx3: Uint8Array, draw: Callable[[np.random.Generator], CutOut], how: Pasting, rng: np.random.Generator) -> Pasted:
    """Pastes random objects, which `draw` returns, at uniform places inside an image.

    An object for which PLACES places overlap another pasted one too much is left out.
    """
    image_hxwx3 = image_hxwx3.copy()
    height, width = image_hxwx3.shape[:2]
    covered_hxw = np.zeros((height, width), np.bool_)
    boxes_nx4 = np.zeros((0, 4))
    labels: list[int] = []
    for _ in range(int(rng.integers(how.objects[0], how.objects[1] + 1))):
        cut = draw(rng)
        side = log_uniform(rng, *how.scale) * math.sqrt(height * width) * (cut.relative_size if how.own_size else 1.0)
        layer = make_layer(cut, (height, width), side, flip=rng.random() < how.flip, feather=how.feather)
        if layer is None:
            continue
        rows, columns = layer.opacity_hxw.shape
        for _ in range(PLACES):
            y, x = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
            box = np.array([x, y, x + columns, y + rows], np.float64)
            if (boxes.share_of_smaller(np.broadcast_to(box, boxes_nx4.shape), boxes_nx4) <= how.max_overlap).all():
                paste(image_hxwx3, layer, x, y)
                covered_hxw[y : y + rows, x : x + columns] |= layer.opacity_hxw > 0
                boxes_nx4, labels = np.concatenate([boxes_nx4, box[None]]), [*labels, cut.label]
                break
    return Pasted(image_hxwx3, boxes_nx4, np.array(labels, np.int32), covered_hxw)


def make_layer(cut: CutOut, image_size: tuple[int, int], side: float, *, flip: bool, feather: float) -> Layer | None:
    """Returns a cut-out scaled so that the square root of its area is `side` pixels.

    The size is limited to that of the image and to MAX_ENLARGED times that of the cut-out. The aspect ratio is kept. Returns None
    if nothing of it is visible at that size.
    """
    height, width = cut.pixels_hxwx3.shape[:2]
    factor = min(side / math.sqrt(height * width), MAX_ENLARGED, image_size[0] / height, image_size[1] / width)
    rows, columns = (min(max(SMALLEST, round(factor * length)), most) for length, most in zip((height, width), image_size, strict=True))
    if cut.alpha_hxw is None:
        opacity_hxw = feathered(rows, columns, feather)
        premultiplied: FloatArray = resize_image(cut.pixels_hxwx3, rows, columns) * opacity_hxw[..., None]
    else:  # colors of transparent pixels mean nothing, so pixels are weighted by their opacity before they are averaged
        alpha_hxwx1 = cut.alpha_hxw[..., None].astype(np.float32)
        weighted = np.rint(np.concatenate([cut.pixels_hxwx3 * alpha_hxwx1 / 255, alpha_hxwx1], axis=2)).astype(np.uint8)
        resized = resize_image(weighted, rows, columns).astype(np.float32)
        premultiplied, opacity_hxw = resized[..., :3], resized[..., 3] / 255
    visible = opacity_hxw >= SUPPORT / 255
    if not visible.any():
        return None
    y, x = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    part = (slice(y[0], y[-1] + 1), slice(x[0], x[-1] + 1))
    premultiplied, opacity_hxw = premultiplied[part] * visible[part][..., None], opacity_hxw[part] * visible[part]
    return Layer(premultiplied[:, ::-1], opacity_hxw[:, ::-1]) if flip else Layer(premultiplied, opacity_hxw)


def feathered(height: int, width: int, sigma: float) -> FloatArray:
    """Returns the opacity (h, w), float32, of a rectangle: 1 inside, and a Gaussian of the distance at its edges, at least SUPPORT."""

    def ramp(length: int) -> FloatArray:
        distance = np.minimum(np.arange(length) + 0.5, length - np.arange(length) - 0.5)
        return np.asarray(1 - np.exp(-0.5 * (distance / sigma) ** 2)) if sigma else np.ones(length)

    least = (SUPPORT + 0.5) / 255
    return (least + (1 - least) * ramp(height)[:, None] * ramp(width)).astype(np.float32)


def paste(image_hxwx3: Uint8Array, layer: Layer, x: int, y: int) -> None:
    """Draws a layer into an image, its upper left corner at pixel (x, y)."""
    rows, columns = layer.opacity_hxw.shape
    below = image_hxwx3[y : y + rows, x : x + columns]
    below[:] = np.rint(np.clip(layer.premultiplied_hxwx3 + below * (1 - layer.opacity_hxw[..., None]), 0, 255)).astype(np.uint8)
