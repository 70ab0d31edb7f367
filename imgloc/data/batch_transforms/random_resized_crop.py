"""Random crops, stretched to the size of the image (Szegedy et al., 2015, arXiv:1409.4842, section 6), on the device."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from imgloc import boxes
from imgloc.data.batches.bilinear import Taps, sample, taps
from imgloc.data.batches.mixing import with_probability
from imgloc.data.batches.objects import Objects, boxes_in_window, keep_objects, keeps_object, objects_of
from imgloc.data.batches.rectangles import as_boxes, content_rectangles, pixels_inside
from imgloc.data.transforms.options import check_number, check_range
from imgloc.types import Array, Batch

KEY = "data.batch_transforms.random_resized_crop"
TRIES = 10  # draws until a crop fits and keeps an object, as on the host (imgloc/data/transforms/window.py); all are made at once


def transform(
    batch: Batch, key: jax.Array, *, probability: float = 1.0, area: tuple[float, float] = (0.3, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3), visible: float = 0.3, keep: bool = True,
) -> Batch:  # fmt: skip
    """The batch with a crop of each image at a uniform place, stretched to the image, with a probability.

    area: the range of the crop's share of the image, uniform. aspect: the range of its width / height in pixels, log-uniform. The whole
    image is used after TRIES draws without a crop that fits and, with `keep`, contains an object of the image's class. visible: a box
    with less than this share of its area in the crop is dropped. Raises UserError for options out of range.

    Of a letterboxed image, the part with the image is cropped and keeps its place.
    """
    check_number(f"{KEY}.probability", probability, 0.0, 1.0)
    check_range(f"{KEY}.area", area, 1e-4, 1.0)
    check_range(f"{KEY}.aspect", aspect, 0.1, 10.0)
    check_number(f"{KEY}.visible", visible, 0.0, 1.0)
    apply_key, area_key, aspect_key, place_key = jax.random.split(key, 4)
    draws = (TRIES, len(batch.label_b))
    content_bx4 = content_rectangles(batch)
    side_bx2 = content_bx4[:, 2:] - content_bx4[:, :2]
    pixels_txb = side_bx2.prod(axis=1) * jax.random.uniform(area_key, draws, minval=area[0], maxval=area[1])
    aspect_txb = jnp.exp(jax.random.uniform(aspect_key, draws, minval=math.log(aspect[0]), maxval=math.log(aspect[1])))
    crop_txbx2 = jnp.maximum(jnp.round(jnp.sqrt(jnp.stack([pixels_txb * aspect_txb, pixels_txb / aspect_txb], axis=-1))), 1)
    room_txbx2 = side_bx2 - crop_txbx2.astype(jnp.int32)
    place_txbx2 = (jax.random.uniform(place_key, (*draws, 2)) * (room_txbx2 + 1)).astype(jnp.int32)
    low_txbx2 = content_bx4[:, :2] + jnp.clip(place_txbx2, 0, jnp.maximum(room_txbx2, 0))
    windows_txbx4 = jnp.concatenate([low_txbx2, low_txbx2 + crop_txbx2.astype(jnp.int32)], axis=-1)
    valid_txb = (room_txbx2 >= 0).all(axis=-1)
    if keep:
        _, kept_txbxn = boxes_in_window(batch.boxes_bxnx4, as_boxes(windows_txbx4, batch)[..., None, :], visible)
        valid_txb &= keeps_object(objects_of(batch), batch.label_b, kept_txbxn)
    chosen_bx4 = jnp.take_along_axis(windows_txbx4, valid_txb.argmax(axis=0)[None, :, None], axis=0)[0]
    window_bx4 = jnp.where(valid_txb.any(axis=0)[:, None], chosen_bx4, content_bx4)
    return with_probability(apply_key, probability, cropped(batch, window_bx4, visible=visible), batch)


def cropped(batch: Batch, window_bx4: Array, *, visible: float) -> Batch:
    """Each image with its window xyxy, in whole pixels inside the content box, stretched to the content box; bilinear, as on the host.

    Boxes are clipped to the window, those with less than `visible` of their area inside are dropped, and the others are sorted again as
    by `collate`. The content box does not change.
    """
    height, width = batch.images_bxhxwxc.shape[1:3]
    content_bx4, window_bx4 = content_rectangles(batch), jnp.asarray(window_bx4)
    length_bx2, source_length_bx2 = (edges[:, 2:] - edges[:, :2] for edges in (content_bx4, window_bx4))
    columns, rows = (
        taps(content_bx4[:, axis], length_bx2[:, axis], window_bx4[:, axis], source_length_bx2[:, axis], side)
        for axis, side in enumerate((width, height))
    )
    # Through vmap, so that images that are spread over devices stay where they are.
    pixels = jax.vmap(_sampled)(jnp.asarray(batch.images_bxhxwxc), rows, columns)

    objects = objects_of(batch)
    clipped_bxnx4, kept_bxn = boxes_in_window(objects.boxes_bxnx4, as_boxes(window_bx4, batch)[:, None], visible)
    moved_bxnx4 = boxes.from_window(clipped_bxnx4, as_boxes(content_bx4, batch)[:, None])
    left = Objects(moved_bxnx4, objects.labels_bxn, objects.object_mask_bxn & kept_bxn)
    return batch._replace(
        **keep_objects([left], batch.label_b, moved_bxnx4.shape[1])._asdict(),
        images_bxhxwxc=jnp.where(pixels_inside(content_bx4, batch), pixels, batch.images_bxhxwxc),
    )


def _sampled(image_hxwxc: jax.Array, rows: Taps, columns: Taps) -> jax.Array:
    return sample(image_hxwxc, (), Taps(*(a[:, None] for a in rows)), columns)
