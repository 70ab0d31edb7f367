"""The training objective: the weighted sum of the losses that a config names."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from imgloc.config.build import keyword_options
from imgloc.config.registry import declared
from imgloc.errors import UserError
from imgloc.inference.outputs import fits
from imgloc.interfaces import AxisNames, Loss
from imgloc.training.hyperparameters import is_on
from imgloc.types import DICT_OUTPUTS, Batch, Info, Outputs

LossFunction: TypeAlias = Callable[[Outputs, Batch], jax.Array]
Metrics: TypeAlias = dict[str, jax.Array]


@dataclass(frozen=True)
class WeightedLoss:
    """One entry of `config.losses`: `function(outputs, batch)` returns [b], one value for each example."""

    name: str
    weight: float | jax.Array
    function: LossFunction
    outputs: Mapping[str, AxisNames] = field(default_factory=dict)  # that the function reads, with their shapes
    optional_outputs: Mapping[str, AxisNames] = field(default_factory=dict)  # that it reads where the model has them
    needs_objects: bool = False
    needs_labels: bool = False


def make_losses(losses: ConfigDict) -> tuple[WeightedLoss, ...]:
    """The losses with a weight above 0, with their options bound. Weights, and the options in `Loss.inputs`, may be traced.

    Raises UserError where there is none, and where an option that losses share has two values.
    """
    weighted = []
    shared: dict[str, tuple[str, object]] = {}  # option -> the first loss with it, and its value
    for key, entry in losses.items():
        loss = declared("losses", entry.name, Loss)
        set_options = {name: value for name, value in entry.items() if name not in ("name", "weight")}
        options = {**keyword_options(loss.function), **set_options}
        outputs = {name.format(**options): shape for name, shape in loss.outputs.items()}
        if is_on(entry.weight):
            for option in loss.shared_options:
                first, value = shared.setdefault(option, (key, options[option]))
                if value != options[option]:
                    both = f"losses.{first}.{option} and losses.{key}.{option}"
                    raise UserError(f"{both} must be equal, got {value!r} and {options[option]!r}")
            function = functools.partial(loss.function, **options)
            needs = (loss.needs_objects, loss.needs_labels)
            weighted.append(WeightedLoss(key, entry.weight, function, outputs, loss.optional_outputs, *needs))
    if not weighted:
        raise UserError("every weight in config.losses is 0; set at least one above 0")
    return tuple(weighted)


def check_objects(losses: Sequence[WeightedLoss], info: Info) -> None:
    """Raises UserError where a loss learns from boxes or from the classes of images, and the training split lacks these."""
    of_images = [loss.name for loss in losses if loss.needs_labels]
    if of_images and not info.all_labelled:
        raise UserError(
            f"loss '{of_images[0]}' learns the class of each image, but images without objects have none; "
            "use a task that learns all objects, or data without such images"
        )
    needing = [loss.name for loss in losses if loss.needs_objects]
    if needing and not info.has_boxes:
        without = " ".join(f"--config.losses.{name}.weight=0" for name in needing)
        raise UserError(
            f"loss '{needing[0]}' learns from boxes, but no image of the training split has one (imgloc data check reports why); "
            f"use data with boxes, or train classes alone: --config.task=classify {without}"
        )


def check_losses(losses: Sequence[WeightedLoss], outputs: Outputs, model: str, size: int, classes: int) -> None:
    """Raises UserError where a loss needs an output that the model lacks or that has another shape.

    `outputs` are those in training mode for a batch of `size` examples; shapes suffice (`jax.eval_shape`).
    """
    features = outputs.get("features", {})
    available = {name: value for name, value in outputs.items() if name not in DICT_OUTPUTS}
    available |= {f"features/{name}": value for name, value in features.items()}
    for loss in losses:
        axes: dict[str, int] = {"b": size, "k": classes}
        for name, shape in {**loss.outputs, **loss.optional_outputs}.items():
            if name not in available and name in loss.optional_outputs:
                continue
            if name not in available:
                problem = f"loss '{loss.name}' needs the output '{name}'; model '{model}' returns {', '.join(available)}"
                raise UserError(f"{problem}; choose another model, other fields of it, or losses.{loss.name}.weight=0")
            expected = ", ".join(str(axes.get(str(axis), axis)) for axis in shape)
            if not fits(available[name].shape, shape, axes):
                raise UserError(f"loss '{loss.name}' needs the output '{name}' of shape ({expected}), got {available[name].shape}")


def batch_loss(outputs: Outputs, batch: Batch, losses: Sequence[WeightedLoss]) -> tuple[jax.Array, Metrics]:
    """The weighted sum of the losses, and the metrics `loss` (that sum) and `loss/NAME`: scalars, means over examples without padding."""
    mask_b = batch.example_mask_b.astype(jnp.float32)
    count = jnp.maximum(mask_b.sum(), 1.0)

    def zero_padding(array: jax.Array) -> jax.Array:
        # Before the loss, not after: a NaN in padding would reach the gradient through a masked loss.
        return jnp.where(batch.example_mask_b.reshape(-1, *[1] * (array.ndim - 1)), array, jnp.zeros_like(array))

    outputs, batch = jax.tree.map(zero_padding, (outputs, batch))
    means = {}
    for loss in losses:
        loss_b = loss.function(outputs, batch)
        if loss_b.shape != mask_b.shape:
            raise ValueError(f"loss '{loss.name}' must return one number for each example, shape {mask_b.shape}, got {loss_b.shape}")
        means[f"loss/{loss.name}"] = jnp.where(mask_b > 0, loss_b, 0.0).sum() / count
    total = sum((loss.weight * means[f"loss/{loss.name}"] for loss in losses), jnp.float32(0.0))
    return total, {"loss": total, **means}
