"""Inverted residual blocks against SciPy's correlation and NumPy, with symmetric padding."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from flax import linen as nn
from scipy.signal import correlate

from imgloc.nn.inverted_residual import InvertedResidual, batch_norm
from tests.models.randomized import randomized


class Block(nn.Module):
    """A block in evaluation, as models make it."""

    options: Any

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        return InvertedResidual(**dict(self.options), norm=batch_norm(train, 0.9, 1e-3), name="block")(x)


@pytest.mark.parametrize(
    ("hidden", "kernel", "stride", "dilation", "squeezed"), [(4, 3, 1, 1, 0), (12, 5, 2, 1, 0), (12, 3, 1, 2, 3), (8, 5, 1, 2, 2)]
)
@pytest.mark.parametrize("size", [(8, 6), (9, 7)])
def test_a_block_equals_its_formula(hidden: int, kernel: int, stride: int, dilation: int, squeezed: int, size: tuple[int, int]) -> None:
    skip = stride == 1
    options = {
        "features": 4, "hidden": hidden, "kernel": kernel, "stride": stride, "dilation": dilation, "skip": skip, "squeezed": squeezed,
        "activation": nn.relu, "squeeze_activation": nn.relu, "gate": nn.sigmoid,
    }  # fmt: skip
    x = np.random.default_rng(1).normal(0, 1, (1, *size, 4)).astype(np.float32)
    block = Block(tuple(options.items()))
    variables = randomized(block, x)
    params, stats = variables["params"]["block"], variables["batch_stats"]["block"]

    def norm(name: str, y: np.ndarray) -> np.ndarray:
        scaled = (y - stats[name]["mean"]) / np.sqrt(stats[name]["var"] + 1e-3)
        return scaled * params[name]["scale"] + params[name]["bias"]

    y = x[0].astype(np.float64)
    if hidden != 4:
        y = np.maximum(norm("expand_norm", y @ params["expand"]["kernel"][0, 0]), 0)
    window = np.zeros((dilation * (kernel - 1) + 1, dilation * (kernel - 1) + 1, hidden))
    window[::dilation, ::dilation] = params["depthwise"]["kernel"][:, :, 0]
    y = np.stack([correlate(y[..., c], window[..., c], mode="same") for c in range(hidden)], axis=-1)[::stride, ::stride]
    y = np.maximum(norm("depthwise_norm", y), 0)
    if squeezed:
        means = np.maximum(y.mean(axis=(0, 1)) @ params["squeeze"]["kernel"] + params["squeeze"]["bias"], 0)
        y = y / (1 + np.exp(-(means @ params["excite"]["kernel"] + params["excite"]["bias"])))
    y = norm("project_norm", y @ params["project"]["kernel"][0, 0])
    ours = jax.jit(lambda v: block.apply(v, x, train=False))(variables)[0]
    np.testing.assert_allclose(ours, x[0] + y if skip else y, atol=1e-4, rtol=1e-4)
