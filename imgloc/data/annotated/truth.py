"""Conversion of an annotation to ground truth: boxes inside the upright picture, and class numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from imgloc.data.annotated.annotations import Annotation
from imgloc.data.images.picture import Picture
from imgloc.types import NO_BOXES_0X4, NO_LABELS_0, BoolArray, FloatArray, IntArray


def refers_to_stored(annotation: Annotation, picture: Picture) -> bool | None:
    """Returns whether an annotation's size is that of the stored pixels (True) or of the upright picture; None if both are equal."""
    stored = (picture.width, picture.height)
    annotated = (annotation.width, annotation.height)
    if picture.orientation < 5 or stored[0] == stored[1] or annotated not in (stored, stored[::-1]):
        return None
    return annotated == stored


class Objects(NamedTuple):
    """The objects of a picture; the fields are those of `imgloc.types.Example`."""

    boxes_nx4: Float[np.ndarray, "n 4"]
    labels_n: IntArray
    difficult_n: BoolArray | None
    crowd_boxes_mx4: Float[np.ndarray, "m 4"]
    crowd_labels_m: IntArray


def objects_of(annotation: Annotation, picture: Picture, classes: Mapping[str, int], *, stored_pixels: bool = False) -> Objects:
    """Returns boxes, float32 in [0, 1] of the upright picture, and labels (n,), int32: the numbers of their classes in `classes`.

    Boxes in pixels are divided by the annotated size, or by the file's size where the annotation has none. If the annotated size
    is that of the stored pixels and not that of the upright picture (by EXIF's orientation), the boxes are rotated with the
    picture. Otherwise they refer to the upright picture, which is what annotators see. `stored_pixels` states that boxes refer to the
    stored pixels where the size cannot decide, because EXIF mirrors the picture or turns it by 180 degrees. Boxes are clipped to the
    picture; boxes without area and boxes of other classes are left out.
    """

    def convert(boxes_nx4: FloatArray, names: Sequence[str]) -> tuple[FloatArray, IntArray, BoolArray]:
        boxes = upright_boxes(np.asarray(boxes_nx4, np.float64), annotation, picture, stored_pixels)
        labels = np.array([classes.get(name, -1) for name in names], np.int32)
        kept = (labels >= 0) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return boxes[kept], labels[kept], kept

    boxes, labels, kept = convert(annotation.boxes_nx4, annotation.names)
    difficult = np.array(annotation.difficult, np.bool_)[kept] if any(annotation.difficult) else None
    crowd_boxes, crowd_labels = NO_BOXES_0X4, NO_LABELS_0
    if annotation.crowd_names:
        crowd_boxes, crowd_labels, _ = convert(annotation.crowd_boxes_mx4, annotation.crowd_names)
    return Objects(boxes, labels, difficult if difficult is not None and difficult.any() else None, crowd_boxes, crowd_labels)


def upright_boxes(boxes: FloatArray, annotation: Annotation, picture: Picture, stored_pixels: bool) -> FloatArray:
    """Returns the boxes of an annotation, clipped, float32 in [0, 1] of the upright picture; see `objects_of`."""
    stored = (picture.width, picture.height)
    upright = stored[::-1] if picture.orientation >= 5 else stored
    annotated = (annotation.width, annotation.height) if annotation.width and annotation.height else upright
    if not annotation.relative:
        boxes = boxes / np.array([*annotated, *annotated], np.float64)
    undecided = stored == upright and picture.orientation > 1 and bool(annotation.width)
    if (annotated == stored and annotated != upright) or (undecided and stored_pixels):
        boxes = apply_orientation(boxes, picture.orientation)
    return np.clip(boxes, 0.0, 1.0).astype(np.float32)


def apply_orientation(boxes_nx4: FloatArray, orientation: int) -> FloatArray:
    """Returns boxes in [0, 1] of a stored picture as boxes of the upright picture, by its EXIF orientation (1 to 8)."""
    x0, y0, x1, y1 = boxes_nx4.T
    if orientation in (2, 3, 7, 8):
        x0, x1 = 1 - x1, 1 - x0
    if orientation in (3, 4, 6, 7):
        y0, y1 = 1 - y1, 1 - y0
    return np.stack([y0, x0, y1, x1] if orientation >= 5 else [x0, y0, x1, y1], axis=1)
