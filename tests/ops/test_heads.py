"""The two dense layers that models end with."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc.ops.heads import class_and_box


class Ends(nn.Module):
    locate: bool

    @nn.compact
    def __call__(self, a: jax.Array, b: jax.Array) -> dict[str, jax.Array]:
        return class_and_box(a, b if self.locate else None, num_classes=3)


def test_each_reads_its_own_features_and_the_box_is_one_in_float32() -> None:
    a, b = (jax.random.normal(jax.random.key(i), (5, 4)).astype(jnp.bfloat16) for i in range(2))
    outputs, variables = Ends(locate=True).init_with_output(jax.random.key(2), a, b)
    assert set(variables["params"]) == {"classes", "box"}
    other = Ends(locate=True).apply(variables, a, b + 1)
    np.testing.assert_array_equal(other["logits"], outputs["logits"])
    assert np.abs(other["box"] - outputs["box"]).max() > 1e-2
    assert outputs["logits"].shape == (5, 3)
    box = outputs["box"]
    assert (box.shape, box.dtype) == ((5, 4), jnp.float32)
    assert bool(((box[:, :2] >= 0) & (box[:, :2] <= box[:, 2:]) & (box[:, 2:] <= 1)).all())


def test_without_features_for_it_there_is_no_box() -> None:
    a = jnp.ones((2, 4))
    outputs, variables = Ends(locate=False).init_with_output(jax.random.key(0), a, a)
    assert set(outputs) == {"logits"}
    assert set(variables["params"]) == {"classes"}
