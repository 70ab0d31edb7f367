"""How a model sees examples: images of one size, stacked, with room for as many boxes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from imgloc.boxes import area
from imgloc.data.images import decode
from imgloc.data.transforms.pixels import resized
from imgloc.data.transforms.resize import letterbox, resize
from imgloc.types import Batch, Example, FloatArray, InputSpec

WHOLE = np.array([0.0, 0.0, 1.0, 1.0], np.float32)


def resized_example(example: Example, view: InputSpec) -> tuple[Example, FloatArray]:
    """An example as the view shows it, and the part of that, a box (4,) in [0, 1], which shows the example's image."""
    if example.image_hxwxc.shape[2] != view.shape[2]:
        example = dataclasses.replace(example, image_hxwxc=decode.with_channels(example.image_hxwxc, view.shape[2]))
    if view.resize == "letterbox":
        return letterbox(example, size=view.size)
    return resize(example, size=view.size), WHOLE


def collate(examples: Sequence[Example], size: int, view: InputSpec, *, truth_in_view: bool = True) -> Batch:
    """A batch of `size`, examples first and padding (zeros, masked out) after them; objects of the image's own class first, then by size.

    So a crop that leaves another class's object the largest does not part `label_b` from box 0. Of more than `view.max_objects` boxes
    the last are left out. Boxes are in [0, 1] of what the model sees, or, where `truth_in_view` is False, of the image itself, as in rows.
    """
    batch = Batch(
        images_bxhxwxc=np.zeros((size, *view.shape), np.uint8),
        boxes_bxnx4=np.zeros((size, view.max_objects, 4), np.float32),
        labels_bxn=np.zeros((size, view.max_objects), np.int32),
        object_mask_bxn=np.zeros((size, view.max_objects), np.bool_),
        label_b=np.zeros((size,), np.int32),
        example_mask_b=np.arange(size) < len(examples),
        content_bx4=np.zeros((size, 4), np.float32),
    )
    for i, example in enumerate(examples):
        seen, batch.content_bx4[i] = resized_example(example, view)
        batch.images_bxhxwxc[i] = seen.image_hxwxc
        truth = seen if truth_in_view else example
        count = len(truth.boxes_nx4)
        first = np.arange(count) if count < 2 else np.lexsort((-area(truth.boxes_nx4), truth.labels_n != example.label))
        kept = first[: view.max_objects]
        batch.boxes_bxnx4[i, : len(kept)] = truth.boxes_nx4[kept]
        batch.labels_bxn[i, : len(kept)] = truth.labels_n[kept]
        batch.object_mask_bxn[i, : len(kept)] = True
        batch.label_b[i] = example.label
    return batch


def fit_batch(batch: Batch, view: InputSpec) -> Batch:
    """A batch of a source in memory as a view that squashes has it; as `stack` makes it of the same examples."""
    size, count = batch.object_mask_bxn.shape

    def with_room(array: Any) -> Any:
        room = np.zeros((size, view.max_objects, *array.shape[2:]), array.dtype)
        room[:, : min(count, view.max_objects)] = array[:, : view.max_objects]
        return room

    images = batch.images_bxhxwxc
    if images.shape[1:] != view.shape:
        images = np.stack([resized(decode.with_channels(image, view.shape[2]), *view.size) for image in images])
    boxes, labels, mask = (with_room(array) for array in (batch.boxes_bxnx4, batch.labels_bxn, batch.object_mask_bxn))
    return batch._replace(images_bxhxwxc=images, boxes_bxnx4=boxes, labels_bxn=labels, object_mask_bxn=mask)
