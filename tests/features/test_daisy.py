"""DAISY descriptors against scikit-image's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skimage.feature

from imgloc.features.daisy import daisy
from tests.image.photographs import photograph
from tests.refusals import assert_refused

IMAGES = np.stack([photograph("chelsea", 40, 43)[..., 0], photograph("coffee", 40, 43)[..., 1]])


@pytest.mark.parametrize("options", [
    {"radius": 9, "step": 5}, {"radius": 6, "rings": 2, "histograms": 5, "orientations": 4, "normalization": "daisy"},
    {"radius": 6, "rings": 1, "histograms": 2, "normalization": "l2"}, {"radius": 6, "rings": 1, "step": 1, "normalization": "off"},
])  # fmt: skip
def test_descriptors_are_those_of_scikit_image(options: dict[str, Any]) -> None:
    descriptors = np.asarray(daisy(IMAGES, **options))
    for i, image in enumerate(IMAGES):
        np.testing.assert_allclose(descriptors[i], skimage.feature.daisy(image, **options), atol=1e-5)


def test_mistakes_are_refused() -> None:
    assert_refused(lambda: daisy(IMAGES, radius=20), "an image of 40 x 43 pixels is too small for a radius of 20; possible: 41 pixels")
    assert_refused(lambda: daisy(IMAGES, normalization="l3"), "unknown normalization of DAISY 'l3'")  # type: ignore[arg-type]
    assert_refused(lambda: daisy(IMAGES, step=0), "must be at least 1")
