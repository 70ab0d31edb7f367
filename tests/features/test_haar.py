"""Haar-like features against scikit-image's."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.feature
import skimage.transform

from imgloc.features import haar
from tests.refusals import assert_refused


@pytest.mark.parametrize("kind", list(haar.KINDS))
def test_features_and_their_values_are_those_of_scikit_image(kind: str) -> None:
    features = haar.haar_features(6, 5, kind)
    windows = np.random.default_rng(0).integers(0, 256, (2, 6, 5)).astype(np.int32)
    values = np.asarray(haar.haar_values(windows, features))
    shares = np.asarray(haar.haar_values((windows / 255).astype(np.float32), features))
    for i, window in enumerate(windows):
        expected = skimage.feature.haar_like_feature(skimage.transform.integral_image(window), 0, 0, 5, 6, kind)
        np.testing.assert_array_equal(values[i], expected)
        np.testing.assert_allclose(shares[i], expected / 255, atol=1e-5)


def test_maps_hold_the_values_of_all_windows() -> None:
    every = haar.haar_features(4, 4)
    chosen = every[np.array([0, 30, len(every) - 1])]
    image = np.random.default_rng(1).uniform(size=(1, 7, 9)).astype(np.float32)
    maps = np.asarray(haar.haar_maps(image, chosen))
    assert maps.shape == (1, 4, 6, 3)
    for y, x in np.ndindex(4, 6):
        np.testing.assert_allclose(maps[:, y, x], haar.haar_values(image[:, y : y + 4, x : x + 4], chosen), atol=1e-5)


def test_mistakes_are_refused() -> None:
    features = haar.haar_features(4, 4, "type-4")
    assert_refused(lambda: haar.haar_features(4, 4, "type-2"), "unknown kind of Haar-like features 'type-2'")
    assert_refused(lambda: haar.haar_features(0, 4), "at least 1 x 1 pixels, got 0 x 4")
    assert_refused(lambda: haar.haar_values(np.zeros((1, 5, 4)), features), "windows of 4 x 4 pixels cannot read windows of 5 x 4 pixels")
    assert_refused(lambda: haar.haar_maps(np.zeros((1, 3, 9)), features), "images of 3 x 9 pixels hold no window of 4 x 4 pixels")
