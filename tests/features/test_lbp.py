"""Local binary patterns against scikit-image's."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.feature

from imgloc.features import lbp
from tests.image.photographs import pixels
from tests.refusals import assert_refused

PHOTO = pixels("chelsea", 40, 48)


@pytest.mark.filterwarnings("ignore:Applying `local_binary_pattern` to floating-point")
@pytest.mark.parametrize("method", ["default", "ror", "uniform", "nri_uniform", "var"])
@pytest.mark.parametrize(("points", "radius"), [(8, 1.0), (12, 2.5)])
def test_patterns_are_those_of_scikit_image(method: lbp.Method, points: int, radius: float) -> None:
    images = np.random.default_rng(0).uniform(size=(2, 17, 20, 2)).astype(np.float32)
    patterns = np.asarray(lbp.local_binary_pattern(images, points=points, radius=radius, method=method))
    for i, channel in np.ndindex(2, 2):
        expected = skimage.feature.local_binary_pattern(images[i, :, :, channel], points, radius, method)
        np.testing.assert_allclose(patterns[i, :, :, channel], expected, atol=1e-5)
    if method != "var":
        assert patterns.max() < lbp.number_of_patterns(points, method)


def test_patterns_of_a_photograph_agree_exactly_at_whole_pixels() -> None:
    patterns = lbp.local_binary_pattern(PHOTO[None], points=4, radius=2.0)
    for channel in range(3):
        expected = skimage.feature.local_binary_pattern(PHOTO[..., channel], 4, 2.0)
        np.testing.assert_array_equal(patterns[0, :, :, channel], expected)


def test_every_place_of_a_flat_image_equals_its_center() -> None:
    flat = np.full((1, 16, 16, 1), 0.3, np.float32)
    assert (np.asarray(lbp.local_binary_pattern(flat, points=8, radius=3.0))[0, 4:12, 4:12] == 255).all()


def test_histograms_are_those_of_numpy_in_each_cell() -> None:
    patterns = np.asarray(lbp.local_binary_pattern(PHOTO[None, :38, :47, :1], method="uniform"))
    shares = np.asarray(lbp.pattern_histograms(patterns, bins=10, cells=(2, 3)))
    assert shares.shape == (1, 2, 3, 1, 10)
    for i, j in np.ndindex(2, 3):
        cell = patterns[0, 19 * i : 19 * (i + 1), 15 * j : 15 * (j + 1), 0]
        np.testing.assert_allclose(shares[0, i, j, 0], np.bincount(cell.ravel(), minlength=10) / cell.size, atol=1e-6)


def test_what_no_pattern_has_is_refused() -> None:
    images = np.zeros((1, 8, 8, 1), np.float32)
    assert_refused(lambda: lbp.local_binary_pattern(images, method="uniforn"), "did you mean 'uniform'?")  # type: ignore[arg-type]  # misspelled
    assert_refused(lambda: lbp.local_binary_pattern(images, points=31), "points must be 1 to 30, got 31")
    assert_refused(lambda: lbp.local_binary_pattern(images, radius=0), "radius must be positive, got 0")
    assert_refused(lambda: lbp.number_of_patterns(8, "var"), "with patterns to count 'var'")
    assert_refused(lambda: lbp.pattern_histograms(images, bins=4, cells=(9, 1)), "must be 1 to 8 down and 1 to 8 across")
