"""From what files say of an image to what is so: boxes of the upright picture, inside it, and the numbers of their classes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from imgloc.data.annotated.annotations import Annotation
from imgloc.data.images.decode import Picture
from imgloc.types import FloatArray, IntArray


def truth(annotation: Annotation, picture: Picture, classes: Mapping[str, int]) -> tuple[FloatArray, IntArray]:
    """Boxes (n, 4) float32 in [0, 1] of the upright picture, and labels (n,) int32: `classes` of their names.

    Boxes in pixels are scaled by the size that was annotated, by the file's where none is said. Where that size is the file's as
    it is stored, and not as EXIF's orientation shows it, they are turned with the picture; else they are of the upright one,
    which is what annotators see. Boxes are cut at the edges; those left without area, and those of other classes, are left out.
    """
    boxes: FloatArray = np.asarray(annotation.boxes_nx4, np.float64)
    stored = (picture.width, picture.height)
    upright = stored[::-1] if picture.orientation >= 5 else stored
    said = (annotation.width, annotation.height) if annotation.width and annotation.height else upright
    if not annotation.relative:
        boxes = boxes / np.array([*said, *said], np.float64)
    if said == stored and said != upright:
        boxes = turned(boxes, picture.orientation)
    boxes = np.clip(boxes, 0.0, 1.0).astype(np.float32)
    labels = np.array([classes.get(name, -1) for name in annotation.names], np.int32)
    kept = (labels >= 0) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return boxes[kept], labels[kept]


def turned(boxes_nx4: FloatArray, orientation: int) -> FloatArray:
    """Boxes (n, 4) in [0, 1] of a picture as stored, in those of it as an EXIF orientation (1 to 8) shows it."""
    x0, y0, x1, y1 = boxes_nx4.T
    if orientation in (2, 3, 7, 8):
        x0, x1 = 1 - x1, 1 - x0
    if orientation in (3, 4, 6, 7):
        y0, y1 = 1 - y1, 1 - y0
    return np.stack([y0, x0, y1, x1] if orientation >= 5 else [x0, y0, x1, y1], axis=1)
