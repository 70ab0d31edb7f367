"""Non-local means: an average of pixels with similar surroundings."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from imgloc.image.borders import pad
from imgloc.image.checks import check_number, check_window
from imgloc.image.convolution import correlate_axis
from imgloc.image.scale import as_float
from imgloc.types import Array

CUTOFF = 5.0  # squared distance of patches, in units of h^2, beyond which a weight is 0


def non_local_means(
    images_bxhxwxc: Array, *, patch_size: int = 7, patch_distance: int = 11, h: float | jax.Array = 0.1, sigma: float | jax.Array = 0.0
) -> jax.Array:
    """Returns denoised images, the classic algorithm of `skimage.restoration.denoise_nl_means` (`fast_mode=False`).

    A pixel is the mean of the pixels at most `patch_distance` rows and columns away, with the weights exp(-d). d is the mean squared
    difference of the patches around both pixels, less 2 sigma^2 for noise of the standard deviation `sigma`, and divided by h^2; pixels of
    a patch count by a Gaussian of (patch_size - 1) / 4 pixels (A. Buades, B. Coll and J.-M. Morel, A non-local algorithm for image
    denoising, 2005). As in scikit-image, a weight is 0 where d exceeds 5 before the last row of the patches is added; the gradient does
    not see this jump. scikit-image approximates exp with errors up to 4 % (N. Schraudolph, A fast, compact approximation of the
    exponential function, 1999), so its results differ by about 1e-3. Time grows with patch_distance^2 * patch_size. `h` and `sigma` may be
    traced.
    Raises UserError for a patch size that is not odd and at least 3, a distance below 1, an h that is not positive and a negative sigma.
    """
    check_window("non_local_means.patch_size", patch_size, odd=True)
    check_number("non_local_means.patch_size", patch_size, least=3)
    check_window("non_local_means.patch_distance", patch_distance)
    check_number("non_local_means.h", h, above=0)
    check_number("non_local_means.sigma", sigma, least=0)
    images = as_float(images_bxhxwxc)
    _, height, width, channels = images.shape
    half, reach = patch_size // 2, patch_distance
    weights = np.exp(-(np.arange(-half, half + 1) ** 2) / (2 * ((patch_size - 1) / 4) ** 2))
    weights /= weights.sum()  # the weights of a patch are their outer product
    near = pad(images, (half, half), (half, half), "mirror")
    # Zeros where other patches are centered outside the image; their weight is 0.
    around = pad(near, (reach, reach), (reach, reach), "constant")
    inside = pad(jnp.ones_like(images[:1, :, :, :1]), (reach, reach), (reach, reach), "constant")

    def add(sums: tuple[jax.Array, jax.Array], place: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        others = lax.dynamic_slice(around, (0, place[0], place[1], 0), near.shape)
        squares = jnp.sum((near - others) ** 2 - 2 * sigma**2, axis=3, keepdims=True) / (channels * h**2)
        rows = correlate_axis(squares, weights, "x", "constant")[:, :, half : half + width]
        distance, kept = jnp.zeros_like(rows[:, :height]), jnp.ones_like(rows[:, :height], bool)
        for i, weight in enumerate(weights.tolist()):
            kept &= distance <= CUTOFF
            distance += weight * rows[:, i : i + height]
        center = slice(half, half + height), slice(half, half + width)
        kept &= lax.dynamic_slice(inside, (0, place[0], place[1], 0), (1, height, width, 1)) > 0
        weight_b = jnp.where(kept, jnp.exp(-jnp.maximum(distance, 0)), 0)
        return (sums[0] + weight_b * others[:, *center], sums[1] + weight_b), None

    none = jnp.zeros_like(images)
    places = np.indices((2 * reach + 1, 2 * reach + 1)).reshape(2, -1).T
    (total, total_weight), _ = lax.scan(add, (none, none[..., :1]), jnp.asarray(places))
    return total / total_weight
