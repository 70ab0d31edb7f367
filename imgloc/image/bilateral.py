"""The bilateral filter: a mean of near pixels of similar color."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from imgloc.image.borders import Border, pad
from imgloc.image.checks import check_number, check_window
from imgloc.image.scale import as_float
from imgloc.types import Array


def bilateral(
    images_bxhxwxc: Array,
    sigma_color: float | jax.Array,
    sigma_space: float,
    *,
    radius: int | None = None,
    border: Border = "mirror",
    value: float = 0.0,
) -> jax.Array:
    """Returns the weighted mean of the pixels within `radius` of each pixel: `cv2.bilateralFilter`.

    A weight is exp(-d^2 / (2 sigma_space^2)) of the distance d in pixels times exp(-c^2 / (2 sigma_color^2)) of the distance c in color,
    the sum of the absolute differences of the channels (C. Tomasi and R. Manduchi, Bilateral filtering for gray and color images, 1998).
    The radius is 1.5 times `sigma_space`, rounded, and at least 1, unless it is given. `sigma_color` is in units of the images and may be
    traced. OpenCV's definition is used because scikit-image reads its table of the spatial weights with a wrong row length.
    Raises UserError for a sigma that is not positive, a radius below 1 and an unknown border.
    """
    check_number("bilateral.sigma_color", sigma_color, above=0)
    check_number("bilateral.sigma_space", sigma_space, above=0)
    radius = max(round(1.5 * sigma_space), 1) if radius is None else radius
    check_window("bilateral.radius", radius)
    images = as_float(images_bxhxwxc)
    padded = pad(images, (radius, radius), (radius, radius), border, value)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].reshape(2, -1)
    inside = y**2 + x**2 <= radius**2
    y, x = y[inside], x[inside]
    nearness = np.exp(-(y**2 + x**2) / (2 * sigma_space**2))

    def add(sums: tuple[jax.Array, jax.Array], place: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[tuple[jax.Array, jax.Array], None]:
        top, left, near = place
        pixels = lax.dynamic_slice(padded, (0, top, left, 0), images.shape)
        difference = jnp.sum(jnp.abs(pixels - images), axis=3, keepdims=True)
        weight = near * jnp.exp(-0.5 * (difference / sigma_color) ** 2)
        return (sums[0] + weight * pixels, sums[1] + weight), None

    none = jnp.zeros_like(images)
    places = (jnp.asarray(y + radius), jnp.asarray(x + radius), jnp.asarray(nearness, images.dtype))
    (total, weights), _ = lax.scan(add, (none, none[..., :1]), places)
    return total / weights
