"""Rectangles xyxy in whole pixels of the images of a batch, on the device."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from imgloc import boxes
from imgloc.types import Array, Batch


def content_rectangles(batch: Batch) -> jax.Array:
    """The content boxes as int32 (b, 4): the part of each image that is not padding of a letterbox; empty for padding of the batch."""
    height, width = batch.images_bxhxwxc.shape[1:3]
    return jnp.round(boxes.to_pixels(jnp.asarray(batch.content_bx4), width, height)).astype(jnp.int32)


def as_boxes(rectangles: Array, batch: Batch) -> jax.Array:
    """Rectangles (..., 4) as boxes in [0, 1] of the images, with the bits that they have on the host."""
    height, width = batch.images_bxhxwxc.shape[1:3]
    # XLA would multiply by the reciprocal of a side, which need not give 1 for the last edge.
    x, y = (jnp.asarray(np.arange(side + 1) / side, jnp.float32) for side in (width, height))
    x0, y0, x1, y1 = jnp.moveaxis(jnp.asarray(rectangles), -1, 0)
    return jnp.stack([x[x0], y[y0], x[x1], y[y1]], axis=-1)


def pixels_inside(rectangle_bx4: Array, batch: Batch) -> jax.Array:
    """A mask (b, h, w, 1) of the pixels inside a rectangle of each image."""
    height, width = batch.images_bxhxwxc.shape[1:3]
    x0, y0, x1, y1 = jnp.moveaxis(jnp.asarray(rectangle_bx4), -1, 0)[..., None]
    x, y = jnp.arange(width), jnp.arange(height)
    inside_bxh, inside_bxw = (y0 <= y) & (y < y1), (x0 <= x) & (x < x1)
    return jnp.asarray(inside_bxh[:, :, None, None] & inside_bxw[:, None, :, None])
