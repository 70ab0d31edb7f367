"""A trained model can leave Python as StableHLO, by jax.export."""

from __future__ import annotations

import jax
import jax.export
import numpy as np

from imgloc.models import localizer


def test_a_model_is_exported_and_gives_the_same_outputs() -> None:
    model = localizer.Model(num_classes=3, **localizer.TINY)
    images = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    variables = model.init(jax.random.key(0), images, train=False)
    apply = jax.jit(lambda variables, images: model.apply(variables, images, train=False))
    content = jax.export.export(apply)(variables, images).serialize()  # imports flatbuffers
    exported = jax.export.deserialize(content)
    expected, found = apply(variables, images), exported.call(variables, images)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), expected, found)
