"""What holds for every filter: compilation, mapping, one pixel, batches, integers, finite gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage import util

from imgloc.image import color, histograms, morphology, thresholds
from imgloc.image.bilateral import bilateral
from imgloc.image.canny import canny
from imgloc.image.clahe import clahe
from imgloc.image.convolution import convolve
from imgloc.image.filters import box, gaussian, median, unsharp_mask
from imgloc.image.gabor import gabor
from imgloc.image.gradients import difference_of_gaussians, laplacian, laplacian_of_gaussian, prewitt, scharr, sobel
from imgloc.image.guided import guided
from imgloc.image.integral import integral_image, window_moments, window_sums
from imgloc.image.non_local_means import non_local_means
from imgloc.image.pyramids import gaussian_pyramid, laplacian_pyramid
from imgloc.image.resample import resize
from imgloc.image.saliency import spectral_residual
from imgloc.image.scale import as_gray
from imgloc.image.soft import soft_median
from imgloc.image.structure_tensor import eigenvalues, harris, structure_tensor
from imgloc.image.templates import best_match, match_template
from tests.image.photographs import batch, pixels

OPERATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "bilateral": partial(bilateral, sigma_color=0.1, sigma_space=1.0),
    "box": partial(box, size=3),
    "convolve": partial(convolve, kernel_nxm=np.arange(6.0).reshape(2, 3)),
    "convolve_spectra": partial(convolve, kernel_nxm=np.arange(99.0).reshape(11, 9) / 99),
    "difference_of_gaussians": partial(difference_of_gaussians, low_sigma=0.5),
    "eigenvalues": lambda x: jnp.concatenate(eigenvalues(*structure_tensor(x)), axis=-1),
    "gabor": lambda x: jnp.concatenate(gabor(x, 0.4), axis=-1),
    "gaussian": gaussian,
    "guided": lambda x: guided(x, x, 1, 0.01),
    "harris": harris,
    "laplacian": laplacian,
    "laplacian_of_gaussian": partial(laplacian_of_gaussian, sigma=0.5),
    "median": median,
    "non_local_means": partial(non_local_means, patch_size=3, patch_distance=1),
    "prewitt": prewitt,
    "scharr": scharr,
    "sobel": sobel,
    "soft_median": soft_median,
    "unsharp_mask": unsharp_mask,
}
BYTES = np.concatenate([batch(pixels("camera", 7, 6)), batch(pixels("camera", 7, 6)[::-1] // 2), np.full((1, 7, 6, 1), 99, np.uint8)])


@pytest.mark.parametrize("name", [*OPERATIONS])
def test_a_filter_can_be_compiled_mapped_and_differentiated(name: str) -> None:
    filtered = OPERATIONS[name]

    @jax.jit
    def everything(images: jax.Array, pixels: jax.Array) -> tuple[jax.Array, ...]:
        mapped = jax.vmap(lambda image: filtered(image[None])[0])(images)
        gradient = jax.grad(lambda x: jnp.sum(filtered(x)))(images.astype(jnp.float32) / 255)
        return filtered(images), mapped, gradient, filtered(pixels)

    result, mapped, gradient, pixels = everything(BYTES, np.full((2, 1, 1, 1), 0.7, np.float32))
    assert result.dtype == np.float32
    assert result.shape[:3] == BYTES.shape[:3]
    assert pixels.shape[:3] == (2, 1, 1)
    np.testing.assert_allclose(mapped, result, atol=1e-6)  # no image influences another
    assert np.ptp(result[0]) > 1e-4
    assert all(np.all(np.isfinite(array)) for array in (result, gradient, pixels))  # also of the image of one gray level


FAMILIES: dict[str, tuple[Callable[[jax.Array], Any], ...]] = {
    "filters": tuple(OPERATIONS.values()),
    "canny": (partial(canny, sigma=0.5),),
    "clahe": (clahe,),
    "color": tuple(
        lambda x, convert=convert: convert(jnp.concatenate([x, x, x[:, ::-1]], axis=-1))
        for convert in (
            color.rgb_to_hsv, color.hsv_to_rgb, color.rgb_to_lab, color.lab_to_rgb, color.rgb_to_ycbcr, color.ycbcr_to_rgb, as_gray,
            spectral_residual, histograms.gray_world, histograms.white_patch,
        )
    ),
    "histograms": (
        histograms.histogram, histograms.soft_histogram, histograms.equalize, histograms.rescale, histograms.stretch_contrast,
        partial(histograms.adjust_gamma, gamma=0.5),
    ),
    "morphology": (
        morphology.erosion, morphology.dilation, morphology.opening, morphology.closing, morphology.gradient, morphology.white_tophat,
        morphology.black_tophat, lambda x: morphology.reconstruction(x[:, ::-1], x),
    ),
    "resampling": (partial(resize, height=4, width=9), partial(gaussian_pyramid, max_layer=1), partial(laplacian_pyramid, max_layer=1)),
    "thresholds": (
        thresholds.otsu, partial(thresholds.local, size=3), partial(thresholds.niblack, size=3), partial(thresholds.sauvola, size=3),
    ),
    "windows": (
        integral_image, partial(window_sums, height=2, width=3), partial(window_moments, height=2, width=3),
        lambda x: match_template(x, x[:, 2:5, 1:4]), lambda x: best_match(x, x[:, 2:5, 1:4]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", [*FAMILIES])
def test_images_of_8_bits_have_the_results_of_floats_from_0_to_1(family: str) -> None:
    every = jax.jit(lambda x: tuple(function(x) for function in FAMILIES[family]))
    jax.tree.map(partial(np.testing.assert_allclose, atol=2e-5), every(BYTES), every(util.img_as_float32(BYTES)))


def test_canny_can_be_mapped() -> None:
    mapped = jax.jit(jax.vmap(lambda image: canny(image[None], 0.5)[0]))(BYTES)
    np.testing.assert_array_equal(mapped, jax.jit(lambda x: canny(x, 0.5))(BYTES))
    assert np.any(mapped)
