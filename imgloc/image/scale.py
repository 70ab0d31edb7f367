"""Images as floating-point numbers, and as gray levels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import UserError
from imgloc.image.luma import BT709, Weights
from imgloc.types import Array


def as_float(images_bxhxwxc: Array, *, channels: int | None = None) -> jax.Array:
    """Returns images (b, h, w, c) as floating-point numbers, with the values of `skimage.util.img_as_float`.

    Unsigned integers of 8, 16 or 32 bits are divided by their maximum, which gives [0, 1]; signed ones as well, which gives [-1, 1], with
    the minimum at -1. False and true become 0 and 1. Floating-point numbers keep their values: those of less than 32 bits become
    float32, others keep their type. Integers become float32, or float64 where `jax_enable_x64` is set.
    The operations of this room convert their images with this function, but morphology keeps booleans, and `borders.pad` every type.
    Raises UserError for other shapes and types, and for another number of channels than `channels` where it is given.
    """
    dtype = np.dtype(images_bxhxwxc.dtype)
    if images_bxhxwxc.ndim != 4:
        raise UserError(f"images must have the axes (b, h, w, c), got the shape {tuple(images_bxhxwxc.shape)}; add the missing axes")
    if channels is not None and images_bxhxwxc.shape[-1] != channels:
        raise UserError(f"images must have {channels} channel{'s' if channels > 1 else ''}, got {images_bxhxwxc.shape[-1]}")
    if jnp.issubdtype(dtype, jnp.floating):
        images = jnp.asarray(images_bxhxwxc)
        return images.astype(jnp.promote_types(images.dtype, jnp.float32))
    if dtype != np.bool_ and (dtype.kind not in "iu" or dtype.itemsize > 4):
        raise UserError(f"images must be floating-point numbers, booleans or integers of at most 32 bits, got {dtype}; convert them first")
    numbers = jnp.asarray(images_bxhxwxc).astype(float)
    if dtype == np.bool_:
        return numbers
    # The reciprocal, because division by the maximum rounds to other bits.
    return jnp.maximum(numbers * (1.0 / np.iinfo(dtype).max), -1.0)


def as_gray(images_bxhxwxc: Array, weights: Weights = BT709) -> jax.Array:
    """Returns the gray levels (b, h, w, 1) of images, by default those of `skimage.color.rgb2gray`; images of one channel keep theirs.

    The weights of BT.709 are those of linear light; as in scikit-image, they are applied to values that are encoded.
    The images are converted with `as_float`. Raises UserError unless images have 1 or 3 channels.
    """
    images = as_float(images_bxhxwxc)
    if images.shape[-1] == 1:
        return images
    if images.shape[-1] != 3:
        raise UserError(f"images must have 1 or 3 channels, got {images.shape[-1]}; leave an alpha channel out")
    # A sum, because accelerators may multiply matrices with reduced precision.
    return sum((w * images[..., i : i + 1] for i, w in enumerate(weights)), start=jnp.zeros((), images.dtype))


def single_channel(name: str, images_bxhxwxc: Array) -> jax.Array:
    """Returns images (b, h, w, 1) converted with `as_float`. Raises UserError, which names the operation, for more channels."""
    images = as_float(images_bxhxwxc)
    if images.shape[-1] != 1:
        raise UserError(f"{name} expects images of one channel, got {images.shape[-1]}; convert them with as_gray")
    return images
