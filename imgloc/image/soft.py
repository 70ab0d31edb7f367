"""Smooth surrogates of operations whose gradient is of little use."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from imgloc.image.borders import Border
from imgloc.image.checks import check_number, check_window
from imgloc.image.filters import windows
from imgloc.image.scale import as_float
from imgloc.types import Array


def soft_median(
    images_bxhxwxc: Array, size: int = 3, *, temperature: float = 0.02, border: Border = "nearest", value: float = 0.0
) -> jax.Array:
    """Returns a smooth approximation of `imgloc.image.filters.median` in windows of odd size, in which every pixel has a gradient.

    The median is the pixel with the least sum of distances to the others. Here each pixel has the weight exp(-sum / temperature), the
    weights are scaled to sum 1, and the distance is sqrt(d^2 + temperature^2), which is smooth at 0. The result tends to the median as the
    temperature, in units of the pixels, tends to 0, and to the mean as it grows. Memory and time grow with size^4.
    Raises UserError for a size that is not odd, a temperature that is not positive, and an unknown border.
    """
    check_window("soft_median.size", size, odd=True)
    check_number("soft_median.temperature", temperature, above=0)
    pixels = jnp.stack(windows(as_float(images_bxhxwxc), size, border, value))

    def add_distance(total: jax.Array, pixel: jax.Array) -> tuple[jax.Array, None]:
        return total + jnp.sqrt((pixels - pixel) ** 2 + temperature**2), None

    distances, _ = lax.scan(add_distance, jnp.zeros_like(pixels), pixels)
    return jnp.sum(jax.nn.softmax(-distances / temperature, axis=0) * pixels, axis=0)
