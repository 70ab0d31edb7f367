"""A difference of Gaussians."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image import gradients
from imgloc.interfaces import Operation


def dog(images_bxhxwxc: jax.Array, *, sigma: float = 1.0, ratio: float = 1.6) -> jax.Array:
    """Images blurred by a Gaussian of `sigma` pixels less those blurred by one of `ratio` times as many."""
    return gradients.difference_of_gaussians(images_bxhxwxc, sigma, ratio * sigma)


OPERATION = Operation(dog, "the difference of two blurs, which keeps detail of one size", draw.show_signed)
