"""Random brightness, contrast, saturation and hue of each image, on the device."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from imgloc import boxes
from imgloc.data.batches.mixing import with_probability
from imgloc.data.batches.rectangles import content_rectangles, pixels_inside
from imgloc.data.transforms.color import FROM_YIQ, LUMA, TO_YIQ
from imgloc.data.transforms.options import check_number
from imgloc.types import Array, Batch

KEY = "data.batch_transforms.color_jitter"


def transform(
    batch: Batch, key: jax.Array, *, probability: float = 1.0, brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2,
    hue: float = 0.0,
) -> Batch:  # fmt: skip
    """The batch with randomly changed colors of each image, with a probability; see `adjust_color`. Boxes do not change.

    The factors of brightness, contrast and saturation are uniform in [1 - x, 1 + x]. The change of hue is uniform in [-hue, hue],
    in turns of the color circle, 0 to 0.5. Raises UserError for options out of range.
    """
    for name, value in {"probability": probability, "brightness": brightness, "contrast": contrast, "saturation": saturation}.items():
        check_number(f"{KEY}.{name}", value, 0.0, 1.0)
    check_number(f"{KEY}.hue", hue, 0.0, 0.5)
    apply_key, change_key = jax.random.split(key)
    change_4xb = jax.random.uniform(change_key, (4, len(batch.label_b)), minval=-1.0)
    largest_4x1 = np.array([brightness, contrast, saturation, hue], np.float32)[:, None]
    brightness_b, contrast_b, saturation_b, hue_b = change_4xb * largest_4x1 + np.array([[1], [1], [1], [0]], np.float32)
    changed = adjust_color(batch, brightness_b, contrast_b, saturation_b, hue_b)
    return with_probability(apply_key, probability, changed, batch)


def adjust_color(batch: Batch, brightness_b: Array, contrast_b: Array, saturation_b: Array, hue_b: Array) -> Batch:
    """Each image with the changes (b,) of `imgloc.data.transforms.color.adjust_color`, by the same formulas.

    Of a letterboxed image, the mean luma is that of the part with the image, and no other pixel changes.
    """
    images = jnp.asarray(batch.images_bxhxwxc)
    size, height, width, channels = images.shape
    content_bx4 = content_rectangles(batch)
    inside = pixels_inside(content_bx4, batch)
    luma = LUMA.astype(np.float32) if channels == 3 else np.ones(1, np.float32)
    columns_bxwxc = jnp.where(inside, images, 0).reshape(size, height, -1).sum(axis=1, dtype=jnp.uint32)  # exact; in vectors on a CPU
    sums_bxc = columns_bxwxc.reshape(size, width, channels).sum(axis=1)
    mean_b = (sums_bxc * luma).sum(axis=1) / jnp.maximum(boxes.area(content_bx4), 1)
    offset_bx1 = ((1 - contrast_b) * brightness_b * mean_b)[:, None]  # gray, so saturation and hue preserve it
    matrix_bxcxc = jnp.broadcast_to(jnp.eye(channels), (size, channels, channels))
    if channels == 3:
        saturation_bx1x1 = saturation_b[:, None, None]
        matrix_bxcxc = _hue_rotation(hue_b) @ (matrix_bxcxc * saturation_bx1x1 + luma * (1 - saturation_bx1x1))
    matrix_bxcxc *= (brightness_b * contrast_b)[:, None, None]
    rows = [sum(images[..., i] * matrix_bxcxc[:, None, None, row, i] for i in range(channels)) for row in range(channels)]
    pixels = jnp.stack(rows, axis=-1) + offset_bx1[:, None, None]  # on a CPU twice as fast as all channels in one product
    pixels = jnp.clip(jnp.round(pixels), 0, 255).astype(jnp.uint8)
    return batch._replace(images_bxhxwxc=jnp.where(inside, pixels, images))


def _hue_rotation(hue_b: Array) -> jax.Array:
    """The matrices (b, 3, 3) that rotate the chroma plane of YIQ by that many turns."""
    angle_b = 2 * math.pi * hue_b
    cos, sin, zero = jnp.cos(angle_b), jnp.sin(angle_b), jnp.zeros_like(angle_b)
    turn_3x3xb = jnp.stack([jnp.stack(row) for row in ((zero + 1, zero, zero), (zero, cos, -sin), (zero, sin, cos))])
    return jnp.einsum("ij,jkb,kl->bil", FROM_YIQ.astype(np.float32), turn_3x3xb, TO_YIQ.astype(np.float32), precision="highest")
