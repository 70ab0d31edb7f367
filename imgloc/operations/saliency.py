"""Saliency by the spectral residual."""

from __future__ import annotations

import jax

from imgloc import draw
from imgloc.image.saliency import spectral_residual
from imgloc.interfaces import Operation


def saliency(images_bxhxwxc: jax.Array, *, size: int = 64, sigma: float = 2.5) -> jax.Array:
    """How much each pixel stands out, 0 to 1: (b, h, w, 1). The image is reduced to a width of `size` pixels first."""
    return spectral_residual(images_bxhxwxc, size=size, sigma=sigma)[..., None]


OPERATION = Operation(saliency, "what stands out from the usual frequencies of images", draw.show_range, channels=(1, 3))
