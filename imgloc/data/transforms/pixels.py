"""The pixel work of all transforms, by OpenCV: images (h, w, 3 or 1) uint8, boxes nowhere.

Chosen for its speed: resampling, flips and colour matrices take about a tenth of what they take by way of Pillow (13.0, beside
OpenCV 5.0, one thread). `python -m benchmarks read` measures what that makes of a whole pipeline.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from imgloc.types import FloatArray, Uint8Array

cv2.setNumThreads(1)  # images are worked on side by side; threads inside each would take the cores from these and from XLA
REDUCED = 2.0  # from this reduction on bilinear interpolation passes over pixels, and means are taken


def resized(image_hxwxc: Uint8Array, height: int, width: int) -> Uint8Array:
    """At (height, width): bilinear, and means where a side is reduced to half or less, so that no pixel is passed over."""
    before = image_hxwxc.shape[:2]
    if before == (height, width):
        return image_hxwxc
    reduced = tuple(after if REDUCED * after <= side else side for side, after in zip(before, (height, width), strict=True))
    if reduced != before:
        image_hxwxc = _with_channels(cv2.resize(image_hxwxc, reduced[::-1], interpolation=cv2.INTER_AREA))
    if reduced != (height, width):
        image_hxwxc = _with_channels(cv2.resize(image_hxwxc, (width, height), interpolation=cv2.INTER_LINEAR))
    return image_hxwxc


def resampled(image_hxwxc: Uint8Array, edges: tuple[float, float, float, float], height: int, width: int) -> Uint8Array:
    """What lies between four edges xyxy, in pixels and inside the image, at (height, width).

    Edges between pixels count exactly where they can: where both sides are reduced to no less than half.
    """
    x0, y0, x1, y1 = edges
    whole = all(edge == round(edge) for edge in edges)
    if whole or x1 - x0 >= REDUCED * width or y1 - y0 >= REDUCED * height:
        left, top = min(round(x0), image_hxwxc.shape[1] - 1), min(round(y0), image_hxwxc.shape[0] - 1)
        return resized(image_hxwxc[top : max(round(y1), top + 1), left : max(round(x1), left + 1)], height, width)
    left, top = math.floor(x0), math.floor(y0)  # only what is looked at
    part = image_hxwxc[top : math.ceil(y1), left : math.ceil(x1)]
    across, down = (x1 - x0) / width, (y1 - y0) / height
    source = [[across, 0, x0 - left + across / 2 - 0.5], [0, down, y0 - top + down / 2 - 0.5]]  # middles of pixels, of the result's
    return turned(part, np.array(source), height, width, border=cv2.BORDER_REPLICATE)


def turned(
    image_hxwxc: Uint8Array, source_2x3: FloatArray, height: int, width: int, *,
    color: tuple[int, ...] = (), border: int = cv2.BORDER_CONSTANT,
) -> Uint8Array:  # fmt: skip
    """At (height, width), bilinear: the pixel (x, y) of the result is that at `source_2x3` @ (x, y, 1); `color` beyond the image."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return _with_channels(cv2.warpAffine(image_hxwxc, source_2x3, (width, height), flags=flags, borderMode=border, borderValue=color))


def mirrored(image_hxwxc: Uint8Array) -> Uint8Array:
    """Left and right exchanged."""
    return _with_channels(cv2.flip(image_hxwxc, 1))


def recolored(image_hxwx3: Uint8Array, matrix_3x4: FloatArray) -> Uint8Array:
    """Each pixel as matrix_3x4 @ (red, green, blue, 1), rounded and cut at 0 and 255."""
    return np.asarray(cv2.transform(image_hxwx3, matrix_3x4), np.uint8)


def means(image_hxwxc: Uint8Array) -> list[float]:
    """The mean of each channel."""
    return list(cv2.mean(image_hxwxc))[: image_hxwxc.shape[2]]


def blurred(image_hxwxc: Uint8Array, deviation: float) -> Uint8Array:
    """A Gaussian blur of this standard deviation in pixels; the edge's pixels go on beyond it."""
    if deviation == 0:
        return image_hxwxc
    return _with_channels(cv2.GaussianBlur(image_hxwxc, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE))


def filtered(image_hxwxc: Uint8Array, kernel: FloatArray) -> Uint8Array:
    """Each pixel the sum of those around it weighted by the kernel (odd, odd), rounded and cut; the edge's go on beyond it."""
    return _with_channels(cv2.filter2D(image_hxwxc, -1, kernel, borderType=cv2.BORDER_REPLICATE))


def _with_channels(found: object) -> Uint8Array:
    """OpenCV drops the axis of a single channel."""
    pixels = np.asarray(found, np.uint8)
    return pixels if pixels.ndim == 3 else pixels[..., None]
