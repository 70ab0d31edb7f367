"""Box arithmetic on any array namespace: NumPy at the border, JAX inside a step.

Boxes are (..., 4) float xyxy with continuous edges. Functions are elementwise over the leading
axes unless named `pairwise_`. Those that convert name the convention they convert from or to.
"""

from __future__ import annotations

from typing import Any

SIZES = {"small": (0.0, 0.25), "medium": (0.25, 0.5), "large": (0.5, 1.01)}  # ranges of sqrt(area) in [0, 1] of the image


def area(boxes: Any) -> Any:
    """Areas (...,) of boxes (..., 4); an inverted box has area 0."""
    xp = boxes.__array_namespace__()
    sides = xp.maximum(boxes[..., 2:] - boxes[..., :2], xp.asarray(0.0, dtype=boxes.dtype))
    return sides[..., 0] * sides[..., 1]


def intersection(a: Any, b: Any) -> Any:
    """Areas (...,) of the overlap of boxes a and b (..., 4)."""
    xp = a.__array_namespace__()
    low = xp.maximum(a[..., :2], b[..., :2])
    high = xp.minimum(a[..., 2:], b[..., 2:])
    return area(xp.concat([low, high], axis=-1))


def iou(a: Any, b: Any) -> Any:
    """Intersection over union (...,) in [0, 1]; 0 where both boxes are empty."""
    xp = a.__array_namespace__()
    overlap = intersection(a, b)
    union = area(a) + area(b) - overlap
    empty = union <= 0
    return xp.where(empty, xp.zeros_like(union), overlap / xp.where(empty, xp.ones_like(union), union))


def giou(a: Any, b: Any) -> Any:
    """Generalized IoU (...,) in [-1, 1] (Rezatofighi et al., 2019, arXiv:1902.09630, algorithm 1).

    IoU less the share of the smallest enclosing box that neither covers; 0 where that is empty.
    """
    xp = a.__array_namespace__()
    union = area(a) + area(b) - intersection(a, b)
    hull = area(xp.concat([xp.minimum(a[..., :2], b[..., :2]), xp.maximum(a[..., 2:], b[..., 2:])], axis=-1))
    empty = hull <= 0
    outside = xp.where(empty, xp.zeros_like(hull), (hull - union) / xp.where(empty, xp.ones_like(hull), hull))
    return iou(a, b) - outside


def from_low_size_logits(logits: Any, sigmoid: Any) -> Any:
    """Valid boxes (..., 4) from any four numbers: two say where in the room left, two how large.

    The side is sigmoid(l2), the low edge sigmoid(l0) of what the side leaves free, so every
    output lies inside [0, 1] and no edge crosses another. `sigmoid` comes from the caller's library.
    """
    xp = logits.__array_namespace__()
    share, size = sigmoid(logits[..., :2]), sigmoid(logits[..., 2:])
    low = share * (1 - size)
    return xp.concat([low, low + size], axis=-1)


def from_edges(edges: Any, *, smallest_side: float = 1e-3) -> Any:
    """Valid boxes (..., 4) from four edges in any order and place: sorted, inside [0, 1], no side shorter than asked."""
    xp = edges.__array_namespace__()
    a, b = edges[..., :2], edges[..., 2:]
    nought, one = xp.asarray(0.0, dtype=edges.dtype), xp.asarray(1.0, dtype=edges.dtype)
    low = xp.minimum(xp.maximum(xp.minimum(a, b), nought), one - smallest_side)
    high = xp.minimum(xp.maximum(xp.maximum(a, b), low + smallest_side), one)
    return xp.concat([low, high], axis=-1)


def from_pixels(boxes: Any, width: int, height: int) -> Any:
    """Boxes in continuous pixel edges, xyxy, to [0, 1]."""
    xp = boxes.__array_namespace__()
    return boxes / xp.asarray([width, height, width, height], dtype=boxes.dtype)


def to_pixels(boxes: Any, width: int, height: int) -> Any:
    """Boxes in [0, 1] to continuous pixel edges, xyxy."""
    xp = boxes.__array_namespace__()
    return boxes * xp.asarray([width, height, width, height], dtype=boxes.dtype)


def reading_order(boxes: Any) -> Any:
    """The order (..., n) of boxes (..., n, 4) from left to right by their middles; of equal ones, as they stand."""
    xp = boxes.__array_namespace__()
    return xp.argsort(boxes[..., 0] + boxes[..., 2], axis=-1, stable=True)


def to_window(boxes: Any, window: Any) -> Any:
    """Boxes (..., 4) in the coordinates of a window (..., 4) that is given in the boxes' own; not cut at its edges.

    What a crop shows of a box. Also the way back from a letterboxed image, where the window is the part that shows the image.
    """
    xp = boxes.__array_namespace__()
    low, size = window[..., :2], window[..., 2:] - window[..., :2]
    return (boxes - xp.concat([low, low], axis=-1)) / xp.concat([size, size], axis=-1)


def from_window(boxes: Any, window: Any) -> Any:
    """Boxes (..., 4) in coordinates of a window (..., 4), in those that the window is given in: the inverse of `to_window`."""
    xp = boxes.__array_namespace__()
    low, size = window[..., :2], window[..., 2:] - window[..., :2]
    return boxes * xp.concat([size, size], axis=-1) + xp.concat([low, low], axis=-1)


def clipped(boxes: Any) -> Any:
    """Boxes (..., 4) cut at the edges of [0, 1]; one that lies wholly outside becomes empty."""
    xp = boxes.__array_namespace__()
    return xp.minimum(xp.maximum(boxes, xp.asarray(0.0, dtype=boxes.dtype)), xp.asarray(1.0, dtype=boxes.dtype))


def from_letterbox(boxes: Any, content: Any) -> Any:
    """Boxes (..., 4) on a letterboxed image as boxes of the image itself, cut at its edges.

    `content` (..., 4): where in [0, 1] of the letterboxed image the image is shown, as `transforms.fit.letterbox` gives it.
    """
    return clipped(to_window(boxes, content))


def from_input(boxes: Any, content_bx4: Any, *, clip: bool) -> Any:
    """Boxes (b, ..., 4) on the input of a model as boxes of the images; `clip` cuts them at the edges of the image.

    `content_bx4` is the part of each input that shows the image. Where that is all of it, the boxes stay as they are, bit for bit.
    """
    xp = boxes.__array_namespace__()
    content = xp.reshape(content_bx4, (content_bx4.shape[0], *(1,) * (boxes.ndim - 2), 4))
    whole = xp.all(content == xp.asarray([0.0, 0.0, 1.0, 1.0], dtype=content.dtype), axis=-1, keepdims=True)
    return xp.where(whole, boxes, from_letterbox(boxes, content) if clip else to_window(boxes, content))


def from_voc_inclusive(boxes: Any) -> Any:
    """Boxes of pixels counted from 1, the last one included, xyxy, to continuous pixel edges: pixels 1 to 3 are [0, 3].

    Pascal VOC's own convention (Everingham et al., VOC2012 development kit, section 4: the top-left pixel is (1, 1)).
    """
    xp = boxes.__array_namespace__()
    return boxes - xp.asarray([1, 1, 0, 0], dtype=boxes.dtype)


def to_voc_inclusive(boxes: Any) -> Any:
    """Boxes in continuous pixel edges, xyxy, to pixels counted from 1, the last one included; see `from_voc_inclusive`."""
    xp = boxes.__array_namespace__()
    return boxes + xp.asarray([1, 1, 0, 0], dtype=boxes.dtype)


def from_inclusive(boxes: Any) -> Any:
    """Boxes of pixels counted from 0, the last one included, xyxy, to continuous pixel edges: pixels 0 to 2 are [0, 3]."""
    xp = boxes.__array_namespace__()
    return boxes + xp.asarray([0, 0, 1, 1], dtype=boxes.dtype)


def to_inclusive(boxes: Any) -> Any:
    """Boxes in continuous pixel edges, xyxy, to pixels counted from 0, the last one included; see `from_inclusive`."""
    xp = boxes.__array_namespace__()
    return boxes - xp.asarray([0, 0, 1, 1], dtype=boxes.dtype)


def from_coco_xywh(boxes: Any) -> Any:
    """Boxes as COCO has them (left, top, width, height), in any unit, to xyxy (https://cocodataset.org/#format-data)."""
    xp = boxes.__array_namespace__()
    return xp.concat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def to_coco_xywh(boxes: Any) -> Any:
    """Boxes xyxy to (left, top, width, height); see `from_coco_xywh`."""
    xp = boxes.__array_namespace__()
    return xp.concat([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def from_yolo_cxcywh(boxes: Any) -> Any:
    """Boxes as YOLO has them (middle x, middle y, width, height), in any unit, to xyxy (https://docs.ultralytics.com/datasets/detect)."""
    xp = boxes.__array_namespace__()
    return xp.concat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], axis=-1)


def to_yolo_cxcywh(boxes: Any) -> Any:
    """Boxes xyxy to (middle x, middle y, width, height); see `from_yolo_cxcywh`."""
    xp = boxes.__array_namespace__()
    return xp.concat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], axis=-1)


def from_ymin_xmin_ymax_xmax(boxes: Any) -> Any:
    """Boxes (ymin, xmin, ymax, xmax), TFDS's order, to xyxy; units stay as they are."""
    return boxes[..., [1, 0, 3, 2]]
