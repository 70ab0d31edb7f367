"""Operations between images and a model (`data.preprocess`), which training and prediction share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import PyTree

from imgloc.config.build import Step
from imgloc.errors import UserError
from imgloc.types import Video


@dataclass(frozen=True)
class Preprocessed:
    """A model that reads images through operations. Its variables are those of the model; `imgloc.nn.apply` computes its outputs."""

    module: nn.Module
    steps: tuple[Step, ...]

    def init(self, keys: Any, inputs: Any, **options: Any) -> Any:
        """The variables of the model for these images in [0, 1], or a `Video` of them."""
        return self.module.init(keys, apply_to_input(inputs, self.steps), **options)


@dataclass(frozen=True)
class Mapped:
    """A model that uses a function of its parameters in their place; `imgloc.nn.apply` computes it."""

    model: nn.Module | Preprocessed
    params: Callable[[PyTree], PyTree]

    def init(self, keys: Any, images_bxhxwxc: jax.Array, **options: Any) -> Any:
        """The variables of the model, before the function."""
        return self.model.init(keys, images_bxhxwxc, **options)


AnyModel: TypeAlias = nn.Module | Preprocessed | Mapped


def with_steps(module: nn.Module, steps: Sequence[Step]) -> nn.Module | Preprocessed:
    """The model behind operations, or the model itself where there are none."""
    return Preprocessed(module, tuple(steps)) if steps else module


def apply_to_input(inputs: Any, steps: Sequence[Step]) -> Any:
    """`apply_steps` of images, or of all frames of a `Video`."""
    if not isinstance(inputs, Video):
        return apply_steps(inputs, steps)
    frames = jnp.asarray(inputs.frames_bxtxhxwxc)
    maps = apply_steps(frames.reshape(-1, *frames.shape[2:]), steps)
    return inputs._replace(frames_bxtxhxwxc=maps.reshape(*frames.shape[:2], *maps.shape[1:]))


def apply_steps(images_bxhxwxc: jax.Array, steps: Sequence[Step]) -> jax.Array:
    """What a model reads of images in [0, 1]: (b, h, w, k), float32.

    An operation reads the result of the last operation before it whose maps replaced the image, or the image where there is none. Its
    own maps replace all channels so far, or are added to them with `keep`. Raises UserError for a number of channels that an operation
    does not accept, and for maps of another size than the image.
    """
    image = channels = jnp.asarray(images_bxhxwxc, jnp.float32)
    for step in steps:
        maps = apply_step(image, step)
        channels = jnp.concatenate([channels, maps], axis=-1) if step.keep else maps
        image = image if step.keep else maps
    return channels


def apply_step(images_bxhxwxc: jax.Array, step: Step) -> jax.Array:
    """The maps (b, h, w, k) of one operation, float32. Raises UserError as `apply_steps` does."""
    possible, got = step.operation.channels, images_bxhxwxc.shape[-1]
    if possible and got not in possible:
        raise UserError(f"operation '{step.name}' needs images with {' or '.join(map(str, possible))} channels, got {got}; leave it out")
    maps = step.function(images_bxhxwxc)
    if maps.ndim != 4 or maps.shape[:3] != images_bxhxwxc.shape[:3]:
        expected = ", ".join(map(str, images_bxhxwxc.shape[:3]))
        raise UserError(f"operation '{step.name}' must return maps of the shape ({expected}, k), got {maps.shape}")
    return jnp.asarray(maps, jnp.float32)
