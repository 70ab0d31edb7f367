"""Batches for the tests of batch transforms: random ones, and ones whose objects are drawn so that pixels show where they are."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.data.batches.collate import collate, object_order
from imgloc.types import Batch, Example, InputSpec

CLASSES = 3
BRIGHT = 240  # of drawn objects; the background is 0


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    low = rng.uniform(0, 0.6, (count, 2))
    return np.concatenate([low, low + rng.uniform(0.1, 0.4, (count, 2))], axis=1).astype(np.float32)


def random_batch(
    seed: int, *, shape: tuple[int, int, int] = (16, 24, 3), valid: int = 5, size: int = 7, objects: int = 3, resize: str = "stretch"
) -> Batch:  # fmt: skip
    """Random images, of which example i has i % 3 objects, and padding; absent objects have boxes that are not zero."""
    rng = np.random.default_rng(seed)
    examples = []
    for i in range(valid):
        image = rng.integers(0, 256, (20, 20, shape[2]), dtype=np.uint8)
        labels = rng.integers(0, CLASSES, i % 3).astype(np.int32)
        examples.append(Example(image, random_boxes(rng, i % 3), labels, int(rng.integers(CLASSES)), str(i), str(i)))
    batch = collate(examples, size, InputSpec(shape, objects, resize))
    absent = random_boxes(rng, size * objects).reshape(size, objects, 4)
    return batch._replace(boxes_bxnx4=np.where(batch.object_mask_bxn[..., None], batch.boxes_bxnx4, absent))


def drawn_batch(seed: int, *, shape: tuple[int, int] = (40, 56), valid: int = 5, size: int = 6, room: int = 8) -> Batch:
    """Images with two filled objects each, at whole pixels. The label of an object is its channel, the only one in which it is bright.

    There is room for all objects of four images.
    """
    rng = np.random.default_rng(seed)
    (height, width), examples = shape, []
    for i in range(valid):
        image = np.zeros((height, width, 2 * valid), np.uint8)
        labels = np.array([2 * i, 2 * i + 1], np.int32)
        boxes = np.zeros((2, 4))
        for n, label in enumerate(labels):
            w, h = rng.integers(6, width // 2), rng.integers(6, height // 2)
            x, y = rng.integers(0, width - w + 1), rng.integers(0, height - h + 1)
            image[y : y + h, x : x + w, label] = BRIGHT
            boxes[n] = x / width, y / height, (x + w) / width, (y + h) / height
        examples.append(Example(image, boxes.astype(np.float32), labels, int(rng.choice(labels)), str(i), str(i)))
    return collate(examples, size, InputSpec((height, width, 2 * valid), room))


def bright_box(image_hxw: np.ndarray, threshold: float) -> np.ndarray | None:
    """The smallest box xyxy, in pixels, around the pixels of at least a threshold; None without any."""
    y, x = np.nonzero(image_hxw >= threshold)
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float64) if len(x) else None


def assert_boxes_follow_pixels(result: Batch, *, threshold: float = BRIGHT / 2, within: float = 0.0) -> int:
    """The box of every object of a drawn batch is where its channel is bright, within so many pixels; returns how many there are."""
    images = np.asarray(result.images_bxhxwxc)
    height, width = images.shape[1:3]
    for i, n in np.argwhere(np.asarray(result.object_mask_bxn)):
        expected = bright_box(images[i, :, :, int(result.labels_bxn[i, n])], threshold)
        assert expected is not None, "a box without its object"
        found = np.asarray(result.boxes_bxnx4[i, n]) * [width, height, width, height]
        np.testing.assert_allclose(found, expected, rtol=0, atol=within + 1e-3)
    return int(np.asarray(result.object_mask_bxn).sum())


def put_objects(fields: dict[str, np.ndarray], i: int, boxes: Any, labels: Any, label: int) -> None:
    """Writes the objects of image i into arrays of a batch, in the order of `collate`; the rest is zeros."""
    boxes, labels = np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(labels, np.int32)
    order = object_order(boxes, labels, label)[: fields["labels_bxn"].shape[1]]
    for name, values in {"boxes_bxnx4": boxes[order], "labels_bxn": labels[order], "object_mask_bxn": True}.items():
        fields[name][i] = 0
        fields[name][i, : len(order)] = values


def objects_of(batch: Batch, i: int) -> tuple[np.ndarray, np.ndarray]:
    """The boxes and labels of image i."""
    mask = np.asarray(batch.object_mask_bxn)[i]
    return np.asarray(batch.boxes_bxnx4)[i, mask], np.asarray(batch.labels_bxn)[i, mask]


def copies(batch: Batch) -> dict[str, np.ndarray]:
    """The fields of a batch that can be changed, and one-hot soft labels where there are none."""
    fields = {name: np.array(array) for name, array in batch._asdict().items() if array is not None}
    return {"soft_label_bxk": np.eye(CLASSES, dtype=np.float32)[fields["label_b"]], **fields}


def assert_same(result: Batch, expected: dict[str, np.ndarray], *, levels: int = 0) -> None:
    """Every field is the same: images within a number of gray levels, floats within their rounding, the rest exactly."""
    for name, array in expected.items():
        other = np.asarray(getattr(result, name))
        assert (other.dtype, other.shape) == (array.dtype, array.shape), name
        if name == "images_bxhxwxc":
            assert np.abs(other.astype(int) - array).max() <= levels
        elif array.dtype == np.float32:
            np.testing.assert_allclose(other, array, rtol=0, atol=2e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(other, array, err_msg=name)


def assert_identical(result: Batch, batch: Batch) -> None:
    """All fields of two batches have the same bits, but for the soft labels, which only one may have."""
    for name, array in batch._asdict().items():
        if array is not None:
            np.testing.assert_array_equal(np.asarray(getattr(result, name)), array, err_msg=name)


def on_device(batch: Batch) -> Batch:
    moved: Batch = jax.tree.map(jnp.asarray, batch)
    return moved
