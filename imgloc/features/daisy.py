"""DAISY: dense descriptors of histograms of gradients on rings. Tola et al., 2010 (doi:10.1109/TPAMI.2009.77), as in scikit-image."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import UserError, unknown
from imgloc.image.resample import along, gaussian_matrix
from imgloc.types import Array

Normalization = Literal["l1", "l2", "daisy", "off"]

EPSILON = 1e-10  # added to descriptors before they are normalized


@partial(jax.jit, static_argnames=("step", "radius", "rings", "histograms", "orientations", "normalization"))
def daisy(
    images_bxhxw: Array,
    *,
    step: int = 4,
    radius: int = 15,
    rings: int = 3,
    histograms: int = 8,
    orientations: int = 8,
    normalization: Normalization = "l1",
) -> jax.Array:
    """The descriptors of gray images at every `step`-th pixel: (b, p, q, (rings * histograms + 1) * orientations), float32.

    A descriptor has a histogram of `orientations` at its center and `histograms` on each of `rings` circles, the largest of `radius`
    pixels. There are p = ceil((h - 2 * radius) / step) rows of them, and q columns likewise. `l1` and `l2` normalize a descriptor,
    `daisy` each of its histograms by L2. Raises UserError for an unknown normalization, options below 1, and too small images.
    """
    if normalization not in get_args(Normalization):
        raise unknown("normalization of DAISY", normalization, get_args(Normalization))
    if min(step, radius, rings, histograms, orientations) < 1:
        raise UserError("DAISY: step, radius, rings, histograms and orientations must be at least 1")
    _, height, width = images_bxhxw.shape
    if min(height, width) <= 2 * radius:
        raise UserError(
            f"DAISY: an image of {height} x {width} pixels is too small for a radius of {radius}; possible: {2 * radius + 1} pixels"
        )
    energies_bxhxwxo = _oriented_energies(jnp.asarray(images_bxhxw, jnp.float32), orientations)
    smoothed = [_gaussian(energies_bxhxwxo, radius * (ring + 1) / (2 * rings)) for ring in range(rings)]
    parts = [smoothed[0][:, radius : height - radius : step, radius : width - radius : step]]
    for ring in range(rings):
        for k in range(histograms):
            distance, angle = radius * (ring + 1) / rings, 2 * math.pi * k / histograms
            y, x = radius + round(distance * math.sin(angle)), radius + round(distance * math.cos(angle))
            parts.append(smoothed[ring][:, y : y + height - 2 * radius : step, x : x + width - 2 * radius : step])
    descriptors = jnp.stack(parts, axis=3)  # b, p, q, histograms, orientations
    if normalization == "l1":
        descriptors = (descriptors + EPSILON) / (descriptors + EPSILON).sum(axis=(3, 4), keepdims=True)
    elif normalization in ("l2", "daisy"):
        axes = (4,) if normalization == "daisy" else (3, 4)
        descriptors = descriptors + EPSILON
        descriptors = descriptors / jnp.sqrt((descriptors**2).sum(axis=axes, keepdims=True))
    return descriptors.reshape(*descriptors.shape[:3], -1)


def _oriented_energies(images_bxhxw: jax.Array, orientations: int) -> jax.Array:
    """The length of each gradient, weighted by a circular Gaussian around each orientation: (b, h, w, orientations)."""
    dx = jnp.pad(jnp.diff(images_bxhxw, axis=2), ((0, 0), (0, 0), (0, 1)))
    dy = jnp.pad(jnp.diff(images_bxhxw, axis=1), ((0, 0), (0, 1), (0, 0)))
    squares = dx**2 + dy**2
    length = jnp.sqrt(jnp.where(squares > 0, squares, 1.0))
    angles = 2 * np.pi * np.arange(orientations) / orientations - np.pi
    # cos(direction - angle) by the addition theorem, which needs no arctangent.
    cosines = (dx / length)[..., None] * np.cos(angles).astype(np.float32) + (dy / length)[..., None] * np.sin(angles).astype(np.float32)
    weights = jnp.exp(orientations / np.pi * cosines)
    return jnp.where((squares > 0)[..., None], weights * length[..., None], 0.0)


def _gaussian(images_bxhxwxc: jax.Array, sigma: float) -> jax.Array:
    # A product with a matrix for each axis compiles in a tenth of the time of a sum of shifted images.
    for axis in (1, 2):
        images_bxhxwxc = along(gaussian_matrix(images_bxhxwxc.shape[axis], sigma, "reflect"), images_bxhxwxc, axis)
    return images_bxhxwxc
