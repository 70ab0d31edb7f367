"""Collation: examples are brought to the model's input size and stacked into a batch with a fixed number of boxes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from imgloc.boxes import area_order
from imgloc.data.images import decode
from imgloc.data.transforms.pixels import resize_image
from imgloc.data.transforms.resize import letterbox, resize
from imgloc.types import Batch, Example, FloatArray, InputSpec, IntArray, Truth

WHOLE_IMAGE = np.array([0.0, 0.0, 1.0, 1.0], np.float32)


def resize_example(example: Example, spec: InputSpec) -> tuple[Example, FloatArray]:
    """The example as model input, and the box (4,) in [0, 1] of the input that shows the example's image."""
    if example.image_hxwxc.shape[2] != spec.shape[2]:
        example = dataclasses.replace(example, image_hxwxc=decode.with_channels(example.image_hxwxc, spec.shape[2]))
    if spec.resize == "letterbox":
        return letterbox(example, size=spec.size)
    return resize(example, size=spec.size), WHOLE_IMAGE


def object_order(boxes_nx4: FloatArray, labels_n: IntArray, label: int) -> IntArray:
    """The order of the objects of an image in a batch: those of the image's class `label` first, larger ones before smaller ones."""
    order_n = np.arange(len(boxes_nx4)) if len(boxes_nx4) < 2 else area_order(boxes_nx4)
    return order_n[np.argsort(labels_n[order_n] != label, kind="stable")]


def ordered_truth(example: Example) -> Truth:
    """The truth of an example with all of its objects, in the order of a batch."""
    truth, order = example.truth, object_order(example.boxes_nx4, example.labels_n, example.label)
    difficult_n = None if truth.difficult_n is None else truth.difficult_n[order]
    return dataclasses.replace(truth, boxes_nx4=truth.boxes_nx4[order], labels_n=truth.labels_n[order], difficult_n=difficult_n)


def collate(examples: Sequence[Example], size: int, spec: InputSpec, *, truth_in_input: bool = True) -> Batch:
    """A batch of `size`: the examples, then padding (zeros, masked out).

    Objects are sorted: those of the image's own class come first, and larger ones before smaller ones, so that box 0 and `label_b`
    belong together even if a crop makes an object of another class the largest. At most `spec.max_objects` boxes are kept.
    Boxes are in [0, 1] of the model input, or of the original image if `truth_in_input` is False.
    """
    batch = Batch(
        images_bxhxwxc=np.zeros((size, *spec.shape), np.uint8),
        boxes_bxnx4=np.zeros((size, spec.max_objects, 4), np.float32),
        labels_bxn=np.zeros((size, spec.max_objects), np.int32),
        object_mask_bxn=np.zeros((size, spec.max_objects), np.bool_),
        label_b=np.zeros((size,), np.int32),
        example_mask_b=np.arange(size) < len(examples),
        content_bx4=np.zeros((size, 4), np.float32),
    )
    for i, example in enumerate(examples):
        resized, batch.content_bx4[i] = resize_example(example, spec)
        batch.images_bxhxwxc[i] = resized.image_hxwxc
        truth = resized if truth_in_input else example
        kept = object_order(truth.boxes_nx4, truth.labels_n, example.label)[: spec.max_objects]
        batch.boxes_bxnx4[i, : len(kept)] = truth.boxes_nx4[kept]
        batch.labels_bxn[i, : len(kept)] = truth.labels_n[kept]
        batch.object_mask_bxn[i, : len(kept)] = True
        batch.label_b[i] = example.label
    return batch


def fit_batch(batch: Batch, spec: InputSpec) -> Batch:
    """The batch of an `InMemory` source as `collate` returns it for the same examples, stretched to the input size."""
    size, count = batch.object_mask_bxn.shape

    def fit_objects(array: np.ndarray) -> np.ndarray:
        fitted = np.zeros((size, spec.max_objects, *array.shape[2:]), array.dtype)
        fitted[:, : min(count, spec.max_objects)] = array[:, : spec.max_objects]
        return fitted

    images = batch.images_bxhxwxc
    if images.shape[1:] != spec.shape:
        images = np.stack([resize_image(decode.with_channels(image, spec.shape[2]), *spec.size) for image in images])
    boxes, labels, mask = (fit_objects(array) for array in map(np.asarray, (batch.boxes_bxnx4, batch.labels_bxn, batch.object_mask_bxn)))
    return batch._replace(images_bxhxwxc=images, boxes_bxnx4=boxes, labels_bxn=labels, object_mask_bxn=mask)
