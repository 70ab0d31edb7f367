"""Structured pruning against the wide model in which the removed channels are zero."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.inference.bundle import named, unnamed
from imgloc.inference.predict import abstract_variables
from imgloc.models import resnet, second_look
from imgloc.nn.apply import predict_step
from imgloc.training.channels import narrowed

SHAPE = (32, 32, 1)


class Block(nn.Module):
    """A residual sum, a concatenation, a gate for each channel, a grouped convolution and a flattening."""

    width: int = 8
    hidden: int = 12
    num_classes: int = 3

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(nn.Conv(self.width, (3, 3), (4, 4), use_bias=False)(images)))
        x = nn.relu(x + nn.BatchNorm(use_running_average=not train)(nn.Conv(self.width, (3, 3))(x)))
        y = nn.silu(nn.Conv(self.hidden, (1, 1))(x))
        y = nn.silu(nn.Conv(self.hidden, (3, 3), feature_group_count=self.hidden)(y))
        y = y * nn.sigmoid(nn.Dense(self.hidden)(nn.relu(nn.Dense(4)(y.mean((1, 2), keepdims=True)))))
        x = jnp.concatenate([x, y], axis=-1)
        return {"logits": nn.Dense(self.num_classes)(nn.relu(nn.Dense(self.hidden)(x.reshape(x.shape[0], -1))))}


def random_values(abstract: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        name: (rng.uniform(0.5, 1.5, leaf.shape) if name.endswith(("scale", "var")) else rng.standard_normal(leaf.shape) * 0.3).astype("f4")
        for name, leaf in named(abstract).items()
    }


CASES = {
    "second_look": (
        second_look.Model(num_classes=10, stem=(8, 8), middle=8, deep=12, look=(8, 8, 8), hidden=16, crop=8),
        second_look.Model(num_classes=10, stem=(4, 6), middle=5, deep=7, look=(4, 6, 3), hidden=9, crop=8),
    ),
    "resnet": (resnet.Model(num_classes=4, width=8), resnet.Model(num_classes=4, width=4)),
    "block": (Block(), Block(width=5, hidden=7)),
}


@functools.cache
def narrowed_values(case: str) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Values of the wide model of a case, and those that remain of them in the narrow one."""
    wide, narrow = CASES[case]
    before, after = (abstract_variables(model, SHAPE, case) for model in (wide, narrow))
    values = random_values(before)
    return values, narrowed(values, wide, before, after, SHAPE)


@pytest.mark.parametrize("case", ["second_look", "block", pytest.param("resnet", marks=pytest.mark.slow)])
def test_a_narrow_model_computes_what_the_wide_one_computes_without_the_removed_channels(case: str) -> None:
    wide, narrow = CASES[case]
    before, after = (abstract_variables(model, SHAPE, case) for model in (wide, narrow))
    values, found = narrowed_values(case)
    assert {name: array.shape for name, array in found.items()} == {name: leaf.shape for name, leaf in named(after).items()}
    zeroed = {name: without_removed(name, values[name], found[name]) for name in values}
    images = np.random.default_rng(2).integers(0, 256, (3, *SHAPE), dtype=np.uint8)
    expected = predict_step(unnamed(zeroed, before), images, model=wide)
    got = predict_step(unnamed(found, after), images, model=narrow)
    for name in set(expected) - {"features"}:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-4, rtol=1e-4)


def without_removed(name: str, wide: np.ndarray, narrow: np.ndarray) -> np.ndarray:
    """The wide array with zeros for the outputs that the narrow array does not have: kernels, biases, scales."""
    if wide.shape[-1] == narrow.shape[-1] or name.endswith(("mean", "var")):
        return wide
    remaining = [narrow[..., k] for k in range(narrow.shape[-1])]
    columns = [column for column in range(wide.shape[-1]) if any(is_part(wide[..., column], part) for part in remaining)]
    assert len(columns) == narrow.shape[-1]
    zeroed = np.zeros_like(wide)
    zeroed[..., columns] = wide[..., columns]
    return zeroed


def is_part(column: np.ndarray, part: np.ndarray) -> bool:
    return set(part.reshape(-1).tolist()) <= set(column.reshape(-1).tolist())


def test_channels_with_the_largest_scales_remain() -> None:
    values, found = narrowed_values("second_look")
    name = "params/first/BatchNorm_0/scale"
    np.testing.assert_array_equal(np.sort(found[name]), np.sort(values[name])[-len(found[name]) :])


@pytest.mark.parametrize("fields", [{"hidden": 32}, {"crop": 16}, {"look": (8, 8)}])
def test_a_model_that_is_not_narrower_is_refused(fields: dict[str, Any]) -> None:
    wide = CASES["second_look"][0]
    before, after = (abstract_variables(model, SHAPE, "second_look") for model in (wide, wide.clone(**fields)))
    with pytest.raises(UserError, match=r"compression\.structured"):
        narrowed(random_values(before), wide, before, after, SHAPE)
