"""The training objective: the weighted sum of the losses that a config names."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from imgloc.config.registry import declared
from imgloc.errors import UserError
from imgloc.inference.outputs import fits
from imgloc.interfaces import AxisNames, Loss
from imgloc.types import DICT_OUTPUTS, Batch, Outputs

LossFunction = Callable[[Outputs, Batch], jax.Array]
Metrics = dict[str, jax.Array]


@dataclass(frozen=True)
class WeightedLoss:
    """One entry of `config.losses`: `function(outputs, batch)` gives [b]."""

    name: str
    weight: float
    function: LossFunction
    outputs: Mapping[str, AxisNames] = field(default_factory=dict)  # that it reads, with shapes


def make_losses(losses: ConfigDict) -> tuple[WeightedLoss, ...]:
    """The losses of weight above 0 with their options bound."""
    made = []
    for key, entry in losses.items():
        options = {name: value for name, value in entry.items() if name not in ("name", "weight")}
        loss = declared("losses", entry.name, Loss)
        outputs = {name.format(**options): shape for name, shape in loss.outputs.items()}
        if entry.weight > 0:
            made.append(WeightedLoss(key, entry.weight, functools.partial(loss.function, **options), outputs))
    if not made:
        raise UserError("every weight in config.losses is 0, so there is nothing to learn; set one above 0")
    return tuple(made)


def check_losses(losses: Sequence[WeightedLoss], outputs: Mapping[str, Any], model: str, size: int, classes: int) -> None:
    """Raises UserError where a loss needs an output (shapes suffice) that the model does not give, or of another shape."""
    features = outputs.get("features", {})
    given = {**outputs, **{f"features/{name}": value for name, value in features.items()}}
    axes: dict[str, int] = {"b": size, "k": classes}
    for loss in losses:
        for name, shape in loss.outputs.items():
            if name not in given:
                names = ", ".join(key for key in given if key not in DICT_OUTPUTS)
                what = f"loss '{loss.name}' needs the output '{name}'; model '{model}' gives {names}"
                raise UserError(f"{what}; possible: another model or other fields of it, or losses.{loss.name}.weight=0")
            if not fits(given[name].shape, shape, dict(axes)):
                expected = ", ".join(str(axes.get(str(axis), axis)) for axis in shape)
                raise UserError(f"loss '{loss.name}' needs the output '{name}' of shape ({expected}), got {given[name].shape}")


def batch_loss(outputs: Any, batch: Batch, losses: Sequence[WeightedLoss]) -> tuple[jax.Array, Metrics]:
    """The weighted sum of all losses, each averaged over the examples that are no padding, and each alone."""
    mask_b = batch.example_mask_b.astype(jnp.float32)
    count = jnp.maximum(mask_b.sum(), 1.0)

    def without_padding(array: jax.Array) -> jax.Array:
        # Before the loss, not after: a NaN in padding would reach the gradient through a masked loss.
        return jnp.where(batch.example_mask_b.reshape(-1, *[1] * (array.ndim - 1)), array, jnp.zeros_like(array))

    outputs = jax.tree.map(without_padding, outputs)
    batch = jax.tree.map(without_padding, batch)
    means = {}
    for loss in losses:
        loss_b = loss.function(outputs, batch)
        if loss_b.shape != mask_b.shape:
            raise ValueError(f"loss '{loss.name}' gives shape {loss_b.shape}; a loss gives one number an example, {mask_b.shape}")
        means[f"loss/{loss.name}"] = jnp.where(mask_b > 0, loss_b, 0.0).sum() / count
    total = sum((loss.weight * means[f"loss/{loss.name}"] for loss in losses), jnp.float32(0.0))
    return total, {"loss": total, **means}
