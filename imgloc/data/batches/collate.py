"""Collation: examples are brought to the model's input size and stacked into a batch with a fixed number of boxes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from imgloc.boxes import area_order
from imgloc.data.images import decode
from imgloc.data.transforms.pixels import resize_image
from imgloc.data.transforms.resize import crop, letterbox, resize
from imgloc.errors import UserError
from imgloc.types import Batch, Example, FloatArray, InputSpec, IntArray, Tracks, Truth

FRAMES = 32  # videos of different lengths are padded to a multiple of this, so that few programs are compiled
WHOLE_IMAGE = np.array([0.0, 0.0, 1.0, 1.0], np.float32)


def resize_example(example: Example, spec: InputSpec) -> tuple[Example, FloatArray]:
    """The example as model input, and the box (4,) in [0, 1] of the input that shows the example's image."""
    if example.image_hxwxc.shape[2] != spec.shape[2]:
        example = dataclasses.replace(example, image_hxwxc=decode.with_channels(example.image_hxwxc, spec.shape[2]))
    if spec.resize == "letterbox":
        return letterbox(example, size=spec.size)
    if spec.resize == "crop":
        return crop(example, size=spec.size)
    return resize(example, size=spec.size), WHOLE_IMAGE


def object_order(boxes_nx4: FloatArray, labels_n: IntArray, label: int) -> IntArray:
    """The order of the objects of an image in a batch: those of the image's class `label` first, larger ones before smaller ones."""
    order_n = np.arange(len(boxes_nx4)) if len(boxes_nx4) < 2 else area_order(boxes_nx4)
    return order_n[np.argsort(labels_n[order_n] != label, kind="stable")]


def ordered_truth(example: Example) -> Truth:
    """The truth of an example with all of its objects, in the order of a batch."""
    truth, order = example.truth, object_order(example.boxes_nx4, example.labels_n, example.label)
    difficult_n = None if truth.difficult_n is None else truth.difficult_n[order]
    tracks = truth.tracks
    if tracks is not None:
        order_m = np.concatenate([order, np.arange(len(order), tracks.present.shape[1])])
        tracks = Tracks(tracks.boxes[:, order_m], tracks.present[:, order_m], tracks.visible[:, order_m])
    ordered = truth.boxes_nx4[order], truth.labels_n[order]
    return dataclasses.replace(truth, boxes_nx4=ordered[0], labels_n=ordered[1], difficult_n=difficult_n, tracks=tracks)


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
    return _with_videos(batch, examples, spec) if examples and examples[0].frames_txhxwxc is not None else batch


def _with_videos(batch: Batch, examples: Sequence[Example], spec: InputSpec) -> Batch:
    """The batch with the frames of videos and the tracks of their objects. Raises UserError unless the frames are stretched."""
    if spec.resize != "stretch":
        raise UserError(f"data.resize is '{spec.resize}', but frames of videos are stretched to data.image_size; set data.resize=stretch")
    lengths = {len(example.frames_txhxwxc) for example in examples if example.frames_txhxwxc is not None}
    length = max(lengths) if len(lengths) == 1 else -(-max(lengths) // FRAMES) * FRAMES
    size, count = batch.object_mask_bxn.shape
    frames = np.zeros((size, length, *spec.shape), np.uint8)
    boxes, present = np.zeros((size, length, count, 4), np.float32), np.zeros((size, length, count), np.bool_)
    visible = np.zeros((size, length, count), np.float32)
    for i, example in enumerate(examples):
        assert example.frames_txhxwxc is not None
        assert example.tracks is not None
        for place, frame in enumerate(example.frames_txhxwxc):
            frames[i, place] = resize_image(decode.with_channels(frame, spec.shape[2]), *spec.size)
        kept = object_order(example.boxes_nx4, example.labels_n, example.label)[:count]
        own = i, slice(len(example.frames_txhxwxc)), slice(len(kept))
        boxes[own], present[own], visible[own] = (array[:, kept] for array in example.tracks)
    return batch._replace(frames_bxtxhxwxc=frames, tracks=Tracks(boxes, present, visible))


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
