"""Pixel operations of all transforms, by OpenCV, on images (h, w, 3 or 1) uint8. Boxes are handled elsewhere.

OpenCV was chosen for speed: resampling, flips and color matrices take about a tenth of the time of Pillow (13.0, against OpenCV 5.0,
one thread). `python -m benchmarks read` measures a whole pipeline.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from imgloc.types import FloatArray, Uint8Array

cv2.setNumThreads(1)  # images are processed in parallel; more threads for each image would compete with these and with XLA
AREA_FACTOR = 2.0  # bilinear interpolation skips pixels when an image shrinks by more than this, so areas are averaged instead


def resize_image(image_hxwxc: Uint8Array, height: int, width: int) -> Uint8Array:
    """The image at (height, width): area averages along a side that shrinks to half or less, bilinear otherwise."""
    before = image_hxwxc.shape[:2]
    if before == (height, width):
        return image_hxwxc
    reduced = tuple(after if AREA_FACTOR * after <= side else side for side, after in zip(before, (height, width), strict=True))
    if reduced != before:
        image_hxwxc = _with_channels(cv2.resize(image_hxwxc, reduced[::-1], interpolation=cv2.INTER_AREA))
    if reduced != (height, width):
        image_hxwxc = _with_channels(cv2.resize(image_hxwxc, (width, height), interpolation=cv2.INTER_LINEAR))
    return image_hxwxc


def resample(image_hxwxc: Uint8Array, edges: tuple[float, float, float, float], height: int, width: int) -> Uint8Array:
    """The crop between the edges xyxy, in pixels inside the image, at (height, width).

    Fractional edges are exact, except that those of a side that shrinks to half or less are rounded to whole pixels.
    """
    x0, y0, x1, y1 = edges
    left, right = _whole_edges(x0, x1, width, image_hxwxc.shape[1])
    top, bottom = _whole_edges(y0, y1, height, image_hxwxc.shape[0])
    crop = image_hxwxc[top:bottom, left:right]
    if all(edge == round(edge) for edge in edges):
        return resize_image(crop, height, width)
    shrinks_x, shrinks_y = x1 - x0 >= AREA_FACTOR * width, y1 - y0 >= AREA_FACTOR * height
    if shrinks_x or shrinks_y:
        crop = resize_image(crop, height if shrinks_y else bottom - top, width if shrinks_x else right - left)
    if shrinks_x and shrinks_y:
        return crop
    # The centers of output pixels map to the centers of input pixels.
    scale_x, offset_x = (1.0, 0.0) if shrinks_x else ((x1 - x0) / width, x0 - left)
    scale_y, offset_y = (1.0, 0.0) if shrinks_y else ((y1 - y0) / height, y0 - top)
    source = [[scale_x, 0, offset_x + scale_x / 2 - 0.5], [0, scale_y, offset_y + scale_y / 2 - 0.5]]
    return warp_affine(crop, np.array(source), height, width, border=cv2.BORDER_REPLICATE)


def _whole_edges(low: float, high: float, output_side: int, side: int) -> tuple[int, int]:
    """Whole edges of the pixels that a crop is made from: the nearest ones where it shrinks to half or less, else those around it."""
    if high - low < AREA_FACTOR * output_side:
        return math.floor(low), math.ceil(high)
    first = min(round(low), side - 1)
    return first, max(round(high), first + 1)


def warp_affine(
    image_hxwxc: Uint8Array, source_2x3: FloatArray, height: int, width: int, *,
    color: tuple[int, ...] = (), border: int = cv2.BORDER_CONSTANT,
) -> Uint8Array:  # fmt: skip
    """The image at (height, width), bilinear: output pixel (x, y) is the input at `source_2x3` @ (x, y, 1), `color` outside the image."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return _with_channels(cv2.warpAffine(image_hxwxc, source_2x3, (width, height), flags=flags, borderMode=border, borderValue=color))


def flip_image(image_hxwxc: Uint8Array) -> Uint8Array:
    """The image flipped left to right."""
    return _with_channels(cv2.flip(image_hxwxc, 1))


def apply_color_matrix(image_hxwx3: Uint8Array, matrix_3x4: FloatArray) -> Uint8Array:
    """Each pixel as matrix_3x4 @ (red, green, blue, 1), rounded and clipped to 0..255."""
    return np.asarray(cv2.transform(image_hxwx3, matrix_3x4), np.uint8)


def channel_means(image_hxwxc: Uint8Array) -> list[float]:
    """The mean of each channel."""
    return list(cv2.mean(image_hxwxc))[: image_hxwxc.shape[2]]


def gaussian_blur(image_hxwxc: Uint8Array, sigma: float) -> Uint8Array:
    """The image after a Gaussian blur with standard deviation `sigma` in pixels; border pixels are replicated."""
    if sigma == 0:
        return image_hxwxc
    return _with_channels(cv2.GaussianBlur(image_hxwxc, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def convolve(image_hxwxc: Uint8Array, kernel: FloatArray) -> Uint8Array:
    """The image filtered with a symmetric kernel of odd sides, rounded and clipped; border pixels are replicated."""
    return _with_channels(cv2.filter2D(image_hxwxc, -1, kernel, borderType=cv2.BORDER_REPLICATE))


def _with_channels(pixels: object) -> Uint8Array:
    """Restores the axis of a single channel, which OpenCV drops."""
    array = np.asarray(pixels, np.uint8)
    return array if array.ndim == 3 else array[..., None]
