"""Objects of batches on the device: those that a window leaves, and those that are kept, in the order of `collate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from imgloc import boxes
from imgloc.types import Array, Batch


class Objects(NamedTuple):
    """Objects of the images of a batch, with the shapes and the meaning of the fields of `Batch`."""

    boxes_bxnx4: jax.Array
    labels_bxn: jax.Array
    object_mask_bxn: jax.Array


def objects_of(batch: Batch) -> Objects:
    """The objects of a batch."""
    return Objects(*map(jnp.asarray, (batch.boxes_bxnx4, batch.labels_bxn, batch.object_mask_bxn)))


def take(objects: Objects, index: Array) -> Objects:
    """The objects of the images of an index (b, ...), which replaces the axis b."""
    taken: Objects = jax.tree.map(lambda array: array[index], objects)
    return taken


def area_rounding(boxes_nx4: jax.Array) -> jax.Array:
    """What the rounding of coordinates may add to the area of boxes, as in `boxes.area_order`: less than this is nothing."""
    return boxes.ROUNDING * (boxes_nx4[..., 2:] - boxes_nx4[..., :2]).sum(axis=-1)


def boxes_in_window(boxes_nx4: Array, window_nx4: Array, visible: float) -> tuple[jax.Array, jax.Array]:
    """Boxes (..., 4) in [0, 1] of their windows, clipped to them, and a mask (...) of those with at least `visible` of their area inside.

    The arguments broadcast. A box without area inside its window is never in the mask.
    """
    boxes_nx4, window_nx4 = jnp.asarray(boxes_nx4), jnp.asarray(window_nx4)
    # In the coordinates of the image, the area of a box that lies inside its window has no rounding.
    inside_n, rounding_n = boxes.intersection(boxes_nx4, window_nx4), area_rounding(boxes_nx4)
    clipped_nx4 = boxes.clip_to_image(boxes.to_window(boxes_nx4, window_nx4))
    return clipped_nx4, (inside_n >= visible * boxes.area(boxes_nx4)) & (inside_n > rounding_n)


def keeps_object(objects: Objects, label_b: Array, kept: Array) -> jax.Array:
    """Whether a mask `kept` (..., b, n) keeps an object of each image's class, or any object if none has that class.

    It is True [..., b] for an image without objects, as on the host (imgloc/data/transforms/window.py).
    """
    own_bxn = objects.object_mask_bxn & (objects.labels_bxn == label_b[:, None])
    needed_bxn = jnp.where(own_bxn.any(axis=-1, keepdims=True), own_bxn, objects.object_mask_bxn)
    return (needed_bxn & kept).any(axis=-1) | ~needed_bxn.any(axis=-1)


def keep_objects(several: Sequence[Objects], label_b: Array, count: int) -> Objects:
    """At most `count` of several objects of each image, in the order of `collate.object_order`; the rest are zeros and masked out.

    That order is: objects of the image's class `label_b` first, larger ones before smaller ones, equal ones as they are.
    """
    boxes_bxnx4, labels_bxn, mask_bxn = (jnp.concatenate(arrays, axis=1) for arrays in zip(*several, strict=True))
    area_bxn = jnp.where(mask_bxn, boxes.area(boxes_bxnx4), -1.0)
    by_area_bxn = jnp.argsort(-area_bxn, axis=-1, stable=True)
    sorted_bxn = jnp.take_along_axis(area_bxn, by_area_bxn, axis=-1)
    rounding_bxn = jnp.take_along_axis(area_rounding(boxes_bxnx4), by_area_bxn, axis=-1)
    # Areas that differ by rounding alone are equal, as in `boxes.area_order`.
    gap_bxn = (sorted_bxn[:, :-1] - sorted_bxn[:, 1:]) > rounding_bxn[:, :-1]
    group_bxn = jnp.pad(jnp.cumsum(gap_bxn, axis=-1), ((0, 0), (1, 0)))
    class_bxn = jnp.where(mask_bxn, (labels_bxn != label_b[:, None]).astype(jnp.int32), 2)
    order_bxn = jnp.lexsort((by_area_bxn, group_bxn, jnp.take_along_axis(class_bxn, by_area_bxn, axis=-1)), axis=-1)
    kept_bxc = jnp.take_along_axis(by_area_bxn, order_bxn, axis=-1)[:, :count]
    mask_bxc = jnp.take_along_axis(mask_bxn, kept_bxc, axis=-1)
    return Objects(
        jnp.where(mask_bxc[..., None], jnp.take_along_axis(boxes_bxnx4, kept_bxc[..., None], axis=1), 0.0),
        jnp.where(mask_bxc, jnp.take_along_axis(labels_bxn, kept_bxc, axis=-1), 0),
        mask_bxc,
    )
