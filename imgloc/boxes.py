"""Box arithmetic on NumPy arrays and on JAX arrays.

A box is (x0, y0, x1, y1), float, with continuous edges. Functions are elementwise over the leading axes.
Functions that convert name the convention that they convert from or to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from jaxtyping import Float, Int

from imgloc.types import FloatArray, IntArray

ROUNDING = 2.0**-22  # of the area of a box in [0, 1], for each unit of its sides: twice what float32 coordinates may add to it


class Array(Protocol):
    """An array of the array API standard, such as a `numpy.ndarray` or a `jax.Array`."""

    @property
    def dtype(self) -> Any: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    def __array_namespace__(self) -> Any: ...
    def __getitem__(self, key: Any, /) -> Self: ...
    def __add__(self, other: Any, /) -> Self: ...
    def __sub__(self, other: Any, /) -> Self: ...
    def __rsub__(self, other: Any, /) -> Self: ...
    def __mul__(self, other: Any, /) -> Self: ...
    def __truediv__(self, other: Any, /) -> Self: ...
    def __le__(self, other: Any, /) -> Any: ...


ArrayT = TypeVar("ArrayT", bound=Array)
SIZES = {"small": (0.0, 0.25), "medium": (0.25, 0.5), "large": (0.5, 1.01)}  # ranges of sqrt(area) in [0, 1] of the image


def area(boxes: Float[ArrayT, "*n 4"]) -> Float[ArrayT, "*n"]:
    """Return the areas; a box whose edges are inverted has area 0."""
    sides = _maximum(boxes[..., 2:] - boxes[..., :2], _constant(0.0, boxes))
    return sides[..., 0] * sides[..., 1]


def intersection(a: Float[ArrayT, "*#n 4"], b: Float[ArrayT, "*#n 4"]) -> Float[ArrayT, "*n"]:
    """Return the area of the intersection of each pair of boxes."""
    return area(_concat(_maximum(a[..., :2], b[..., :2]), _minimum(a[..., 2:], b[..., 2:])))


def iou(a: Float[ArrayT, "*#n 4"], b: Float[ArrayT, "*#n 4"]) -> Float[ArrayT, "*n"]:
    """Return the intersection over union of each pair of boxes, in [0, 1]; 0 where both boxes are empty."""
    xp = a.__array_namespace__()
    overlap = intersection(a, b)
    union = area(a) + area(b) - overlap
    empty = union <= 0
    ratio: ArrayT = xp.where(empty, xp.zeros_like(union), overlap / xp.where(empty, xp.ones_like(union), union))
    return ratio


def share_of_smaller(a: Float[ArrayT, "*#n 4"], b: Float[ArrayT, "*#n 4"]) -> Float[ArrayT, "*n"]:
    """Return the share of the smaller of two boxes that the other one covers."""
    smaller = _minimum(area(a), area(b))
    return intersection(a, b) / smaller


def giou(a: Float[ArrayT, "*#n 4"], b: Float[ArrayT, "*#n 4"]) -> Float[ArrayT, "*n"]:
    """Return the generalized IoU of each pair of boxes, in [-1, 1] (Rezatofighi et al., 2019, arXiv:1902.09630, algorithm 1).

    This is the IoU minus the fraction of the smallest enclosing box that neither box covers, which is 0 where that box is empty.
    """
    xp = a.__array_namespace__()
    union = area(a) + area(b) - intersection(a, b)
    enclosing = area(_concat(_minimum(a[..., :2], b[..., :2]), _maximum(a[..., 2:], b[..., 2:])))
    empty = enclosing <= 0
    uncovered: ArrayT = xp.where(empty, xp.zeros_like(enclosing), (enclosing - union) / xp.where(empty, xp.ones_like(enclosing), enclosing))
    return iou(a, b) - uncovered


def diou(a: Float[ArrayT, "*#n 4"], b: Float[ArrayT, "*#n 4"]) -> Float[ArrayT, "*n"]:
    """Return the distance IoU of each pair of boxes, in [-1, 1] (Zheng et al., 2020, arXiv:1911.08287, equations 5 to 7).

    This is the IoU minus the squared distance of the centers over that of the corners of the smallest enclosing box. Unlike the IoU, it
    depends on the unit: unless the image is square, boxes in [0, 1] give another value than boxes in pixels.
    """
    xp = a.__array_namespace__()
    enclosing = _maximum(a[..., 2:], b[..., 2:]) - _minimum(a[..., :2], b[..., :2])
    diagonal = enclosing[..., 0] * enclosing[..., 0] + enclosing[..., 1] * enclosing[..., 1]
    offset = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    distance = offset[..., 0] * offset[..., 0] + offset[..., 1] * offset[..., 1]
    empty = diagonal <= 0
    ratio: ArrayT = xp.where(empty, xp.zeros_like(diagonal), distance / xp.where(empty, xp.ones_like(diagonal), diagonal))
    return iou(a, b) - ratio


def ciou(
    a: Float[ArrayT, "*#n 4"], b: Float[ArrayT, "*#n 4"], constant: Callable[[ArrayT], ArrayT] = lambda weight: weight
) -> Float[ArrayT, "*n"]:
    """Return the complete IoU of each pair of boxes, at most 1 (Zheng et al., 2020, arXiv:1911.08287, equations 8 to 11).

    This is the distance IoU minus a term for different aspect ratios, and it depends on the unit as well. The paper passes no gradient
    through the weight of that term: `constant` is the function of the library of the array that stops it, such as
    `jax.lax.stop_gradient`.
    """
    angle = _aspect_angle(a) - _aspect_angle(b)
    aspect = angle * angle * (4 / np.pi**2)
    weight = constant(aspect / (aspect - iou(a, b) + (1 + 1e-7)))
    return diou(a, b) - aspect * weight


def _aspect_angle(boxes: ArrayT) -> ArrayT:
    """The angle of the diagonal, from the width over the height; sides of 0 are replaced so that its gradient is finite."""
    xp = boxes.__array_namespace__()
    sides = _maximum(boxes[..., 2:] - boxes[..., :2], _constant(1e-9, boxes))
    angle: ArrayT = xp.atan2(sides[..., 0], sides[..., 1])
    return angle


def from_low_size_logits(logits: Float[ArrayT, "... 4"], sigmoid: Callable[[ArrayT], ArrayT]) -> Float[ArrayT, "... 4"]:
    """Return valid boxes for any logits: the first two give the position, the last two the size.

    The side is sigmoid(l2), and the low edge is sigmoid(l0) times 1 minus the side. So every box lies inside [0, 1] and has
    ordered edges. `sigmoid` is that of the library of the array.
    """
    position, size = sigmoid(logits[..., :2]), sigmoid(logits[..., 2:])
    low = position * (1 - size)
    return _concat(low, low + size)


def from_edges(edges: Float[ArrayT, "... 4"], *, smallest_side: float = 1e-3) -> Float[ArrayT, "... 4"]:
    """Return valid boxes for any four edges: ordered, inside [0, 1], and with no side below `smallest_side`."""
    a, b = edges[..., :2], edges[..., 2:]
    zero, one = _constant(0.0, edges), _constant(1.0, edges)
    low = _minimum(_maximum(_minimum(a, b), zero), one - smallest_side)
    return _concat(low, _minimum(_maximum(_maximum(a, b), low + smallest_side), one))


def from_pixels(boxes: Float[ArrayT, "... 4"], width: int, height: int) -> Float[ArrayT, "... 4"]:
    """Convert boxes in pixels of an image to [0, 1]."""
    return boxes / _constant([width, height, width, height], boxes)


def to_pixels(boxes: Float[ArrayT, "... 4"], width: int, height: int) -> Float[ArrayT, "... 4"]:
    """Convert boxes in [0, 1] to pixels of an image."""
    return boxes * _constant([width, height, width, height], boxes)


def squares_around(boxes: Float[ArrayT, "... 4"], height: int, width: int, context: float) -> Float[ArrayT, "... 4"]:
    """Return the squares in pixels around boxes in [0, 1], `context` times as large as their longer side; they may reach beyond [0, 1]."""
    pixels = to_pixels(boxes, width, height)
    a, b = pixels[..., :2], pixels[..., 2:]
    sides, center = b - a, (a + b) / 2
    half = _maximum(sides[..., :1], sides[..., 1:]) * (context / 2)
    return from_pixels(_concat(center - half, center + half), width, height)


def area_order(boxes: FloatArray) -> IntArray:
    """Return the indices that sort boxes (n, 4), in [0, 1], from the largest area to the smallest.

    Areas that differ by no more than the rounding of coordinates to float32 are equal, and boxes of equal areas keep their order.
    """
    area_n, sides_n = np.asarray(area(boxes), np.float64), np.asarray(boxes[:, 2:] - boxes[:, :2], np.float64).sum(axis=1)
    order_n = np.argsort(-area_n, kind="stable")
    gap_n = area_n[order_n][:-1] - area_n[order_n][1:]
    group_n = np.concatenate([[0], np.cumsum(gap_n > ROUNDING * sides_n[order_n][:-1])])[: len(area_n)]
    return np.asarray(order_n[np.lexsort((order_n, group_n))], np.int64)


def largest(boxes: FloatArray) -> int:
    """Return the index of the largest of boxes (n, 4), n > 0, the first one among equals; see `area_order`."""
    return int(area_order(boxes)[0])


def reading_order(boxes: Float[ArrayT, "... n 4"]) -> Int[ArrayT, "... n"]:
    """Return the indices that sort boxes from left to right by their centers; the sort is stable."""
    order: ArrayT = boxes.__array_namespace__().argsort(boxes[..., 0] + boxes[..., 2], axis=-1, stable=True)
    return order


def to_window(boxes: Float[ArrayT, "... 4"], window: Float[ArrayT, "... 4"]) -> Float[ArrayT, "... 4"]:
    """Convert boxes to the coordinates of a window, in which the window is (0, 0, 1, 1); they are not clipped to it.

    This maps a box into a crop. It also maps a box back from a letterboxed image, where the window is the part with the image.
    """
    low, size = window[..., :2], window[..., 2:] - window[..., :2]
    return (boxes - _concat(low, low)) / _concat(size, size)


def from_window(boxes: Float[ArrayT, "... 4"], window: Float[ArrayT, "... 4"]) -> Float[ArrayT, "... 4"]:
    """Convert boxes from the coordinates of a window; the inverse of `to_window`."""
    low, size = window[..., :2], window[..., 2:] - window[..., :2]
    return boxes * _concat(size, size) + _concat(low, low)


def clip_to_image(boxes: Float[ArrayT, "... 4"]) -> Float[ArrayT, "... 4"]:
    """Clip boxes to [0, 1]; a box that lies outside becomes empty."""
    return _minimum(_maximum(boxes, _constant(0.0, boxes)), _constant(1.0, boxes))


def from_letterbox(boxes: Float[ArrayT, "... 4"], content: Float[ArrayT, "... 4"]) -> Float[ArrayT, "... 4"]:
    """Convert boxes on a letterboxed image to boxes on the image, clipped to it.

    `content` is the part of the letterboxed image that shows the image, in [0, 1].
    """
    return clip_to_image(to_window(boxes, content))


def from_input(boxes: Float[ArrayT, "b ... 4"], content_bx4: Float[ArrayT, "b 4"], *, clip: bool) -> Float[ArrayT, "b ... 4"]:
    """Convert boxes on the input of a model to boxes on the images; `clip` clips them to the image.

    `content_bx4` is the part of each input that shows the image. Where that is the whole input, the boxes are returned unchanged.
    """
    xp = boxes.__array_namespace__()
    content: ArrayT = xp.reshape(content_bx4, (content_bx4.shape[0], *(1,) * (len(boxes.shape) - 2), 4))
    whole = xp.all(content == _constant([0.0, 0.0, 1.0, 1.0], content), axis=-1, keepdims=True)
    converted: ArrayT = xp.where(whole, boxes, from_letterbox(boxes, content) if clip else to_window(boxes, content))
    return converted


def from_voc_inclusive(boxes: Float[ArrayT, "... 4"]) -> Float[ArrayT, "... 4"]:
    """Convert boxes of Pascal VOC to continuous pixel edges: pixels 1 to 3 are [0, 3].

    VOC counts pixels from 1 and includes the last one (Everingham et al., VOC2012 development kit, section 4).
    """
    return boxes - _constant([1, 1, 0, 0], boxes)


def to_voc_inclusive(boxes: Float[ArrayT, "... 4"]) -> Float[ArrayT, "... 4"]:
    """Convert continuous pixel edges to boxes of Pascal VOC; the inverse of `from_voc_inclusive`."""
    return boxes + _constant([1, 1, 0, 0], boxes)


def from_inclusive(boxes: Float[ArrayT, "... 4"]) -> Float[ArrayT, "... 4"]:
    """Convert boxes whose pixels are counted from 0, the last one included, to continuous pixel edges: pixels 0 to 2 are [0, 3]."""
    return boxes + _constant([0, 0, 1, 1], boxes)


def to_inclusive(boxes: Float[ArrayT, "... 4"]) -> Float[ArrayT, "... 4"]:
    """Convert continuous pixel edges to boxes with the last pixel included; the inverse of `from_inclusive`."""
    return boxes - _constant([0, 0, 1, 1], boxes)


def from_coco_xywh(boxes: Float[ArrayT, "... 4"]) -> Float[ArrayT, "... 4"]:
    """Convert boxes of COCO, (left, top, width, height) in any unit, to xyxy (https://cocodataset.org/#format-data)."""
    return _concat(boxes[..., :2], boxes[..., :2] + boxes[..., 2:])


def to_coco_xywh(boxes: Float[ArrayT, "... 4"]) -> Float[ArrayT, "... 4"]:
    """Convert xyxy to boxes of COCO; the inverse of `from_coco_xywh`."""
    return _concat(boxes[..., :2], boxes[..., 2:] - boxes[..., :2])


def from_yolo_cxcywh(boxes: Float[ArrayT, "... 4"]) -> Float[ArrayT, "... 4"]:
    """Convert boxes of YOLO, (center x, center y, width, height) in any unit, to xyxy (https://docs.ultralytics.com/datasets/detect)."""
    return _concat(boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2)


def to_yolo_cxcywh(boxes: Float[ArrayT, "... 4"]) -> Float[ArrayT, "... 4"]:
    """Convert xyxy to boxes of YOLO; the inverse of `from_yolo_cxcywh`."""
    return _concat((boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2])


def from_ymin_xmin_ymax_xmax(boxes: Float[ArrayT, "... 4"]) -> Float[ArrayT, "... 4"]:
    """Convert boxes of TFDS, (ymin, xmin, ymax, xmax) in any unit, to xyxy."""
    return boxes[..., [1, 0, 3, 2]]


def _constant(value: float | list[int] | list[float], like: ArrayT) -> ArrayT:
    constant: ArrayT = like.__array_namespace__().asarray(value, dtype=like.dtype)
    return constant


def _concat(a: ArrayT, b: ArrayT) -> ArrayT:
    joined: ArrayT = a.__array_namespace__().concat([a, b], axis=-1)
    return joined


def _minimum(a: ArrayT, b: ArrayT) -> ArrayT:
    smaller: ArrayT = a.__array_namespace__().minimum(a, b)
    return smaller


def _maximum(a: ArrayT, b: ArrayT) -> ArrayT:
    larger: ArrayT = a.__array_namespace__().maximum(a, b)
    return larger
