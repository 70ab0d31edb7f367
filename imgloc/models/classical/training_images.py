"""Training images with all of their objects: what detectors that look at parts of images are fitted on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from imgloc.errors import UserError
from imgloc.types import Batch, BoolArray, FloatArray, IntArray, Uint8Array


class TrainingImages(NamedTuple):
    """n images with at most m objects."""

    images_nxhxwxc: Uint8Array
    label_n: IntArray  # of the images; -1: none
    boxes_nxmx4: FloatArray  # xyxy in [0, 1] of the input
    labels_nxm: IntArray
    mask_nxm: BoolArray  # places that hold an object

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        height, width = self.images_nxhxwxc.shape[1:3]
        return height, width

    def part(self, chosen: Any) -> TrainingImages:
        """The images of a slice, of indices or of a mask."""
        part: TrainingImages = jax.tree.map(lambda array: array[chosen], self)
        return part

    def with_object(self) -> TrainingImages:
        """The images whose first place holds an object, which is the largest of the image's class. Raises UserError where there is none."""
        if not self.mask_nxm[:, 0].any():
            raise UserError("no training example has a box; use data with boxes, or another model")
        return self.part(self.mask_nxm[:, 0])


def read_training_images(batches: Iterator[Batch]) -> TrainingImages:
    """The training batches as one."""
    parts = [(batch.images_bxhxwxc, batch.label_b, batch.boxes_bxnx4, batch.labels_bxn, batch.object_mask_bxn) for batch in batches]
    return TrainingImages(*(np.concatenate([np.asarray(array) for array in arrays]) for arrays in zip(*parts, strict=True)))


def level_sides(squares_nx4: FloatArray, height: int, width: int, levels: int) -> tuple[float, ...]:
    """Sides of squares, in units of the shorter side of the image, evenly spaced on a logarithmic scale over those of most squares."""
    side_n = (squares_nx4[:, 2] - squares_nx4[:, 0]) * width / min(height, width)
    low, high = np.clip(np.quantile(side_n, (0.02, 0.98)), 0.02, 1.0)
    return tuple(round(float(side), 4) for side in np.geomspace(low, high, levels))
