"""Histograms and moments of colors against numpy's and scipy's."""

from __future__ import annotations

import numpy as np
import scipy.stats

from imgloc.features import color_statistics
from tests.refusals import assert_refused

IMAGES = np.random.default_rng(0).beta(2, 5, size=(2, 7, 9, 3)).astype(np.float32)


def test_channel_histograms_are_those_of_numpy() -> None:
    shares = np.asarray(color_statistics.channel_histograms(IMAGES, bins=5))
    for i, channel in np.ndindex(2, 3):
        counts, _ = np.histogram(IMAGES[i, :, :, channel], bins=5, range=(0, 1))
        np.testing.assert_allclose(shares[i, channel], counts / 63, atol=1e-6)


def test_joint_histograms_are_those_of_numpy() -> None:
    shares = np.asarray(color_statistics.joint_histograms(IMAGES, bins=3))
    for i in range(2):
        counts, _ = np.histogramdd(IMAGES[i].reshape(-1, 3), bins=3, range=[(0, 1)] * 3)
        np.testing.assert_allclose(shares[i], counts / 63, atol=1e-6)


def test_moments_are_those_of_numpy_and_scipy() -> None:
    images = IMAGES.copy()
    images[1, :, :, 2] = 0.7
    moments = np.asarray(color_statistics.color_moments(images))
    np.testing.assert_allclose(moments[..., 0], images.mean(axis=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(moments[..., 1], images.std(axis=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(moments[0, :, 2], scipy.stats.skew(images[0].reshape(-1, 3)), atol=1e-4)
    assert moments[1, 2, 2] == 0


def test_mistakes_are_refused() -> None:
    assert_refused(lambda: color_statistics.channel_histograms(IMAGES, bins=0), "must be at least 1, got 0")
    assert_refused(lambda: color_statistics.joint_histograms(IMAGES, bins=256), "has 16777216 parts; possible: 1048576")
