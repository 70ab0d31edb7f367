"""Template matching by normalized cross-correlation."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from imgloc.errors import UserError
from imgloc.image.borders import Border, pad
from imgloc.image.integral import Moments, merge, window_moments
from imgloc.image.scale import as_float
from imgloc.types import Array

GROUP = 16  # pixels of a template that are added in one pass


def match_template(
    images_bxhxwxc: Array, templates_bxmxnxc: Array, *, pad_input: bool = False, border: Border = "constant", value: float = 0.0
) -> jax.Array:
    """Returns the correlation coefficient, in [-1, 1], of a template and each window of an image: `skimage.feature.match_template`.

    There is one template, (1, m, n, c), or one for each image. The answer is (b, h - m + 1, w - n + 1), with the window that starts at
    each pixel; with `pad_input` it is (b, h, w), with the window whose pixel (m // 2, n // 2) is at each pixel, and `border` and `value`
    fill what lies beyond the image. Channels are compared jointly: their means are those over all channels.
    A window whose values are equal to within float rounding has no correlation, and gets 0; so does every window of a constant template.
    Raises UserError for templates that are larger than the images, or do not have their channels or number.
    """
    images, templates = as_float(images_bxhxwxc), as_float(templates_bxmxnxc)
    batch, _, _, channels = images.shape
    count, height, width, template_channels = templates.shape
    if template_channels != channels or count not in (1, batch):
        raise UserError(f"templates must have the shape (1 or {batch}, m, n, {channels}), got {tuple(templates.shape)}")
    if height > images.shape[1] or width > images.shape[2]:
        raise UserError(f"a template must be at most as large as the images, {images.shape[1]} x {images.shape[2]}, got {height} x {width}")
    if pad_input:
        rows, columns = ((side // 2, side - 1 - side // 2) for side in (height, width))
        images = pad(images, rows, columns, border, value)
    means, scatters = _moments(images, height, width)
    centered = templates - jnp.mean(templates, axis=(1, 2, 3), keepdims=True)
    denominator = scatters * jnp.sum(centered**2, axis=(1, 2, 3))[:, None, None]
    varies = denominator > float(np.finfo(images.dtype).eps) ** 2
    response = _correlation(images, means, centered) / jnp.sqrt(jnp.where(varies, denominator, 1))
    return jnp.where(varies, response, 0)


def _moments(images: jax.Array, height: int, width: int) -> Moments:
    """The moments of all channels of each window, (b, h - m + 1, w - n + 1)."""
    moments, pixels = window_moments(images, height, width), height * width
    merged = Moments(moments.mean[..., 0], moments.scatter[..., 0])
    for channel in range(1, images.shape[-1]):
        merged = merge(merged, channel * pixels, Moments(moments.mean[..., channel], moments.scatter[..., channel]), pixels)
    return merged


def _correlation(images: jax.Array, means_bxhxw: jax.Array, templates: jax.Array) -> jax.Array:
    """The sums of products of each window, less its mean, and the template (b, h - m + 1, w - n + 1).

    Convolutions and Fourier transforms do not subtract the mean of each window, and lose the digits of windows of low contrast: their
    coefficients are off by up to 1e-4 in the sky of a photograph. The pixels of the template are added instead, GROUP of them in one pass
    over the images: a pass for each pixel is limited by the speed of the memory.
    """
    height, width, channels = templates.shape[1:]
    rows, columns = means_bxhxw.shape[1:3]
    group = min(width, GROUP)
    groups = -(-width // group)
    beyond = ((0, 0), (0, 0), (0, 0), (0, groups * group - width))  # columns whose weights are zero
    images_cxbxhxw, templates_cxbxmxn = (jnp.pad(jnp.moveaxis(each, -1, 0), beyond) for each in (images, templates))

    @jax.checkpoint  # else all shifted images are kept for the gradient
    def products(images: jax.Array, means: jax.Array, templates: jax.Array, index: jax.Array) -> jax.Array:
        start = (index // (height * groups), 0, index // groups % height, index % groups * group)
        strip = lax.dynamic_slice(images, start, (1, images.shape[1], rows, columns + group - 1))[0]
        weights = lax.dynamic_slice(templates, start, (1, templates.shape[1], 1, group))[0]
        terms = ((strip[:, :, i : i + columns] - means) * weights[:, :, i : i + 1] for i in range(group))
        return sum(terms, start=jnp.zeros_like(means))

    def add(total: jax.Array, index: jax.Array) -> tuple[jax.Array, None]:
        return total + products(images_cxbxhxw, means_bxhxw, templates_cxbxmxn, index), None

    return lax.scan(add, jnp.zeros_like(means_bxhxw), jnp.arange(channels * height * groups))[0]


class Match(NamedTuple):
    """The best place of a template in each image."""

    boxes_bx4: jax.Array  # float32, in [0, 1]
    scores_b: jax.Array  # the correlation coefficient there


def best_match(images_bxhxwxc: Array, templates_bxmxnxc: Array) -> Match:
    """Returns the box of the window that correlates most with its template; of equal ones the first.

    Errors are those of `match_template`.
    """
    images, (height, width) = as_float(images_bxhxwxc), templates_bxmxnxc.shape[1:3]
    response = match_template(images, templates_bxmxnxc)
    flat = response.reshape(response.shape[0], -1)
    index = jnp.argmax(flat, axis=1)
    y, x = index // response.shape[2], index % response.shape[2]
    corners = jnp.stack([x, y, x + width, y + height], axis=-1).astype(jnp.float32)
    size = jnp.array([images.shape[2], images.shape[1]] * 2, jnp.float32)
    return Match(corners / size, jnp.max(flat, axis=1))
