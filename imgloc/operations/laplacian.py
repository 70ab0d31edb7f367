"""The Laplacian of a Gaussian."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image import gradients
from imgloc.interfaces import Operation


def laplacian(images_bxhxwxc: jax.Array, *, sigma: float = 2.0) -> jax.Array:
    """The sum of the second derivatives of images blurred by a Gaussian of `sigma` pixels: negative at bright spots."""
    return gradients.laplacian_of_gaussian(images_bxhxwxc, sigma)


OPERATION = Operation(laplacian, "the second derivative of blurred images, whose sign changes at edges", draw.show_signed)
