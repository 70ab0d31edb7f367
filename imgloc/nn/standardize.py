"""Images with the mean and the standard deviation that a network was trained on."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.errors import UserError

Numbers = tuple[float, ...]


def standardize(images_bxhxwxc: jax.Array, mean: Numbers, std: Numbers) -> jax.Array:
    """Returns (images - mean) / std; each has one number, or one for each channel.

    This cannot be folded into the first convolution: the zeros that pad its input stand for the mean. Raises UserError for another
    number of channels, and for a std that is not above 0.
    """
    channels = images_bxhxwxc.shape[-1]
    for name, numbers in (("mean", mean), ("std", std)):
        if len(numbers) not in (1, channels):
            raise UserError(f"model.{name} has {len(numbers)} numbers, but the images have {channels} channel(s); expected 1 or {channels}")
    if min(std) <= 0:
        raise UserError(f"model.std must be above 0, got {std}")
    mean_c, std_c = (jnp.asarray(numbers, images_bxhxwxc.dtype) for numbers in (mean, std))
    return (images_bxhxwxc - mean_c) / std_c
