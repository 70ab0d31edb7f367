"""Mosaics of four images around a random center (Bochkovskiy et al., 2020, arXiv:2004.10934, section 3.3), on the device."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc import boxes
from imgloc.data.batches.bilinear import Taps, sample, taps
from imgloc.data.batches.mixing import partners, soft_labels, with_probability
from imgloc.data.batches.objects import Objects, boxes_in_window, keep_objects, objects_of, take
from imgloc.data.batches.rectangles import as_boxes, content_rectangles
from imgloc.data.transforms.options import check_number, check_range
from imgloc.types import Array, Batch

KEY = "data.batch_transforms.mosaic"
WHOLE_IMAGE = (0.0, 0.0, 1.0, 1.0)


def transform(
    batch: Batch, key: jax.Array, *, num_classes: int, probability: float = 1.0, center: tuple[float, float] = (0.25, 0.75),
    scale: tuple[float, float] = (0.5, 1.0), visible: float = 0.3,
) -> Batch:  # fmt: skip
    """The batch with each image replaced by four tiles, its own and those of three others, with a probability.

    center: the range of the point where the tiles meet, as shares of the sides, uniform. scale: the range of the factor by which an
    image is resized, uniform; a factor that would leave a part of the tile empty is raised. The tile shows a uniformly random part.
    visible: an object with less than this share of its area in the tile is dropped; see `tiled`. Raises UserError for options out of
    range.
    """
    check_number(f"{KEY}.probability", probability, 0.0, 1.0)
    check_range(f"{KEY}.center", center, 0.0, 1.0)
    check_range(f"{KEY}.scale", scale, 0.5, 2.0)
    check_number(f"{KEY}.visible", visible, 0.0, 1.0)
    apply_key, partner_key, center_key, scale_key, place_key = jax.random.split(key, 5)
    size, height, width = batch.images_bxhxwxc.shape[:3]
    shape_2 = jnp.array([width, height])
    index_bx4 = jnp.concatenate([jnp.arange(size)[:, None], partners(partner_key, batch.example_mask_b, 3)], axis=1)
    drawn_bx2 = jax.random.uniform(center_key, (size, 2), minval=center[0], maxval=center[1])
    center_bx2 = jnp.clip(jnp.round(drawn_bx2 * shape_2).astype(jnp.int32), 1, shape_2 - 1)
    tiles_bx4x4 = _tiles(center_bx2, width, height)

    content_bx4x4 = content_rectangles(batch)[index_bx4]
    content_bx4x2 = jnp.maximum(content_bx4x4[..., 2:] - content_bx4x4[..., :2], 1)
    tile_bx4x2 = tiles_bx4x4[..., 2:] - tiles_bx4x4[..., :2]
    factor_bx4x1 = jax.random.uniform(scale_key, (size, 4, 1), minval=scale[0], maxval=scale[1])
    factor_bx4x1 = jnp.maximum(factor_bx4x1, (tile_bx4x2 / content_bx4x2).max(axis=-1, keepdims=True))
    window_bx4x2 = jnp.clip(jnp.round(tile_bx4x2 / factor_bx4x1).astype(jnp.int32), 1, content_bx4x2)
    place_bx4x2 = (jax.random.uniform(place_key, (size, 4, 2)) * (content_bx4x2 - window_bx4x2 + 1)).astype(jnp.int32)
    low_bx4x2 = content_bx4x4[..., :2] + jnp.minimum(place_bx4x2, content_bx4x2 - window_bx4x2)
    windows_bx4x4 = jnp.concatenate([low_bx4x2, low_bx4x2 + window_bx4x2], axis=-1)
    changed = tiled(batch, index_bx4, center_bx2, windows_bx4x4, num_classes=num_classes, visible=visible)
    return with_probability(apply_key, probability, changed, batch, num_classes)


def tiled(batch: Batch, index_bx4: Array, center_bx2: Array, windows_bx4x4: Array, *, num_classes: int, visible: float) -> Batch:
    """Mosaics of the images of an index: top left, top right, bottom left, bottom right, around a center x, y in whole pixels.

    A tile is the window xyxy, in whole pixels inside its image, bilinear as on the host for windows that shrink by less than half.
    Soft labels are mixed by the tiles' areas, and `label_b` is that of the largest tile. Boxes are clipped to their tile, and those with
    less than `visible` of their area left are dropped; of the others, as many are kept as the batch has room for, in the order of
    `collate`: those of `label_b` first, larger ones before smaller ones. The content box is the whole image.
    """
    size, height, width = batch.images_bxhxwxc.shape[:3]
    tiles_bx4x4, windows_bx4x4 = _tiles(jnp.asarray(center_bx2), width, height), jnp.asarray(windows_bx4x4)
    tile_boxes_bx4x1x4, window_boxes_bx4x1x4 = (as_boxes(a, batch)[:, :, None] for a in (tiles_bx4x4, windows_bx4x4))
    share_bx4 = boxes.area(tiles_bx4x4) / (height * width)
    soft_bx4xk = soft_labels(batch, num_classes)[index_bx4]
    label_bx4 = jnp.asarray(batch.label_b)[index_bx4]
    label_b = jnp.take_along_axis(label_bx4, share_bx4.argmax(axis=1, keepdims=True), axis=1)[:, 0]

    objects = take(objects_of(batch), index_bx4)
    clipped_bx4xnx4, inside_bx4xn = boxes_in_window(objects.boxes_bxnx4, window_boxes_bx4x1x4, visible)
    moved_bx4xnx4 = boxes.from_window(clipped_bx4xnx4, tile_boxes_bx4x1x4)
    mask_bx4xn = objects.object_mask_bxn & inside_bx4xn
    tiles = [Objects(moved_bx4xnx4[:, i], objects.labels_bxn[:, i], mask_bx4xn[:, i]) for i in range(4)]
    return batch._replace(
        **keep_objects(tiles, label_b, batch.labels_bxn.shape[1])._asdict(),
        images_bxhxwxc=_pixels(batch.images_bxhxwxc, index_bx4, tiles_bx4x4, windows_bx4x4),
        label_b=label_b,
        content_bx4=jnp.broadcast_to(jnp.array(WHOLE_IMAGE), (size, 4)),
        soft_label_bxk=(share_bx4[..., None] * soft_bx4xk).sum(axis=1),
    )


def _tiles(center_bx2: jax.Array, width: int, height: int) -> jax.Array:
    """The tiles (b, 4, 4) around centers, xyxy in pixels."""
    x, y = center_bx2[:, 0], center_bx2[:, 1]
    zero, right, bottom = jnp.zeros_like(x), jnp.full_like(x, width), jnp.full_like(y, height)
    corners = ((zero, zero, x, y), (x, zero, right, y), (zero, y, x, bottom), (x, y, right, bottom))
    return jnp.stack([jnp.stack(corner, axis=-1) for corner in corners], axis=1)


def _pixels(images_bxhxwxc: Array, index_bx4: Array, tiles_bx4x4: jax.Array, windows_bx4x4: jax.Array) -> jax.Array:
    """The pixels of all tiles, each read once: their taps are chosen for each pixel before the images are sampled."""
    height, width = images_bxhxwxc.shape[1:3]
    right_bxw = jnp.arange(width) >= tiles_bx4x4[:, 0, 2, None]
    below_bxh = jnp.arange(height) >= tiles_bx4x4[:, 0, 3, None]

    def taps_along(axis: int, side: int) -> Taps:
        length_bx4, source_length_bx4 = (edges[..., 2 + axis] - edges[..., axis] for edges in (tiles_bx4x4, windows_bx4x4))
        return taps(tiles_bx4x4[..., axis], length_bx4, windows_bx4x4[..., axis], source_length_bx4, side)

    def of_tile(values: Array) -> jax.Array:
        """One of the values (b, 4, h or 1, w or 1) for each pixel."""
        top, bottom = (jnp.where(right_bxw[:, None], values[:, i + 1], values[:, i]) for i in (0, 2))
        return jnp.where(below_bxh[:, :, None], bottom, top)

    rows = Taps(*(of_tile(values[..., None]) for values in taps_along(1, height)))
    columns = Taps(*(of_tile(values[:, :, None]) for values in taps_along(0, width)))
    return sample(images_bxhxwxc, (of_tile(jnp.asarray(index_bx4)[:, :, None, None]),), rows, columns)
