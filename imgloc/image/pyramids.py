"""Gaussian and Laplacian pyramids, with the definitions of `skimage.transform`."""

from __future__ import annotations

import math

import jax

from imgloc.errors import UserError
from imgloc.image.borders import Border
from imgloc.image.resample import along, check_border, gaussian_matrix, resize
from imgloc.image.scale import as_float
from imgloc.types import Array


def gaussian_pyramid(
    images_bxhxwxc: Array, max_layer: int | None = None, *, downscale: float = 2.0, sigma: float | None = None, border: Border = "reflect"
) -> tuple[jax.Array, ...]:
    """Returns the images, and `max_layer` smaller versions of them: `skimage.transform.pyramid_gaussian`.

    A layer is the layer before, smoothed with `sigma` pixels (a third of `downscale` if None), and resized to its sides divided by
    `downscale` and rounded up, by linear interpolation. Layers end where a side no longer changes. `border` is that of the smoothing
    and, as scikit-image names it there, of resizing: `reflect` smooths with the edge pixel repeated and resizes with `mirror`.
    Raises UserError for a `downscale` of at most 1, a negative `max_layer` or sigma, and a `constant` or unknown border.
    """
    sigma = _check(max_layer, downscale, sigma, border)
    layers = [as_float(images_bxhxwxc)]
    while max_layer is None or len(layers) <= max_layer:
        smaller = _shrunk(_smooth(layers[-1], sigma, border), downscale, border)
        if smaller.shape == layers[-1].shape:
            break
        layers.append(smaller)
    return tuple(layers)


def laplacian_pyramid(
    images_bxhxwxc: Array, max_layer: int | None = None, *, downscale: float = 2.0, sigma: float | None = None, border: Border = "reflect"
) -> tuple[jax.Array, ...]:
    """Returns the differences of each layer and its smoothed version, `max_layer` + 1 of them: `skimage.transform.pyramid_laplacian`.

    The first layer is the images, and the next one is the smoothed layer, resized as in `gaussian_pyramid`. Without `max_layer` the
    layers end at one pixel. Options and errors are those of `gaussian_pyramid`.
    """
    sigma = _check(max_layer, downscale, sigma, border)
    layer = as_float(images_bxhxwxc)
    if max_layer is None:
        max_layer = math.ceil(math.log(max(layer.shape[1:3]), downscale))
    smooth = _smooth(layer, sigma, border)
    differences = [layer - smooth]
    for _ in range(max_layer):
        layer = _shrunk(smooth, downscale, border)
        smooth = _smooth(layer, sigma, border)
        differences.append(layer - smooth)
    return tuple(differences)


def _check(max_layer: int | None, downscale: float, sigma: float | None, border: Border) -> float:
    if not downscale > 1:
        raise UserError(f"a pyramid's downscale must be greater than 1, got {downscale}")
    if max_layer is not None and max_layer < 0:
        raise UserError(f"a pyramid's max_layer must be at least 0, got {max_layer}")
    if sigma is not None and sigma < 0:
        raise UserError(f"a pyramid's sigma must be at least 0, got {sigma}")
    check_border(border)
    return 2 * downscale / 6 if sigma is None else sigma


def _smooth(images: jax.Array, sigma: float, border: Border) -> jax.Array:
    for axis in (1, 2):
        images = along(gaussian_matrix(images.shape[axis], sigma, border), images, axis)
    return images


def _shrunk(images: jax.Array, downscale: float, border: Border) -> jax.Array:
    height, width = (math.ceil(side / downscale) for side in images.shape[1:3])
    return resize(images, height, width, antialias=False, border="mirror" if border == "reflect" else border)
