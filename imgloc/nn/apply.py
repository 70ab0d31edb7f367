"""Applies a model to a batch of images; no other file of the package calls `model.apply`."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Float, PyTree, UInt8

from imgloc.errors import UserError, look_up
from imgloc.nn.freezing import Patterns, evaluate_frozen_norms, stop_gradients
from imgloc.nn.preprocess import AnyModel, Mapped, Preprocessed, apply_to_input
from imgloc.types import Array, Batch, Outputs, Shape, Video

DTYPES: Mapping[str, DTypeLike] = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def compute_dtype(name: str) -> DTypeLike:
    """The dtype that a config's `train.dtype` names. Raises UserError for an unknown name."""
    return look_up("dtype (train.dtype)", name, DTYPES)


def as_inputs(images_bxhxwxc: UInt8[Array, "b ... h w c"], dtype: DTypeLike) -> Float[jax.Array, "b ... h w c"]:
    """uint8 images scaled to [0, 1]."""
    return jnp.asarray(images_bxhxwxc).astype(dtype) / jnp.asarray(255, dtype)


def reads_videos(model: AnyModel) -> bool:
    """Whether a model reads a `Video`, the argument `video` of its `__call__`, instead of images."""
    return "video" in inspect.signature(type(_linen_module(model)).__call__).parameters


def _linen_module(model: AnyModel) -> nn.Module:
    inner = model.model if isinstance(model, Mapped) else model
    return inner.module if isinstance(inner, Preprocessed) else inner


def input_of(batch: Batch, *, train: bool = False) -> Any:
    """What a model reads of a batch: its images, or a `Video`, with its truth in training."""
    if batch.frames_bxtxhxwxc is None:
        return batch.images_bxhxwxc
    return Video(batch.frames_bxtxhxwxc, batch.boxes_bxnx4, batch.tracks if train else None)


def blank_input(model: AnyModel, size: int, shape: Shape, dtype: DTypeLike) -> Any:
    """The input of a model for `size` black images of a shape (h, w, c), or videos of two frames with one object."""
    if not reads_videos(model):
        return jnp.zeros((size, *shape), dtype)
    return Video(jnp.zeros((size, 2, *shape), dtype), jnp.tile(jnp.array([0.25, 0.25, 0.75, 0.75], jnp.float32), (size, 1, 1)))


def cast(tree: PyTree, dtype: DTypeLike) -> PyTree:
    """The tree with its floating-point arrays converted to a dtype; other arrays are unchanged."""
    return jax.tree.map(lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree)


def apply_train(
    params: PyTree, model_state: Mapping[str, PyTree], batch: Batch, key: jax.Array, *,
    model: AnyModel, dtype: DTypeLike = jnp.float32, frozen: Patterns = (),
) -> tuple[Outputs, PyTree]:  # fmt: skip
    """The model's outputs and its new state, both float32, in training mode; the computation is in `dtype`.

    Variables whose path matches a pattern of `frozen` are constants; see `imgloc.nn.freezing`.
    """
    inner, params = _mapped(model, params)
    variables = {"params": cast(stop_gradients(params, frozen), dtype), **model_state}
    module, inputs = _module_and_input(inner, _scaled(input_of(batch, train=True), _image_dtype(model, dtype)), dtype)
    labels: dict[str, Any] = {"label_b": batch.label_b} if takes_labels(module) else {}
    with nn.intercept_methods(evaluate_frozen_norms(frozen)) if frozen else contextlib.nullcontext():
        outputs, new_state = module.apply(variables, inputs, train=True, rngs={"dropout": key}, mutable=list(model_state), **labels)
    return cast(outputs, jnp.float32), cast(new_state, jnp.float32)


def _scaled(inputs: Any, dtype: DTypeLike) -> Any:
    """The input of a model with its images in [0, 1]."""
    if isinstance(inputs, Video):
        return inputs._replace(frames_bxtxhxwxc=as_inputs(inputs.frames_bxtxhxwxc, dtype))
    return as_inputs(inputs, dtype)


def takes_labels(model: nn.Module) -> bool:
    """Whether a model takes the true classes in training, as the argument `label_b` of its `__call__`. In evaluation it has none."""
    return "label_b" in inspect.signature(type(model).__call__).parameters


def apply_eval(variables: Mapping[str, PyTree], inputs_bxhxwxc: Any, *, model: AnyModel, dtype: DTypeLike = jnp.float32) -> Outputs:
    """The model's float32 outputs for images in [0, 1] (b, h, w, c), or a `Video` of them, in evaluation mode; computed in `dtype`."""
    inner, lowered = _lowered(model, variables, dtype)
    module, inputs = _module_and_input(inner, jax.tree.map(jnp.asarray, inputs_bxhxwxc), dtype)
    outputs: Outputs = cast(module.apply(lowered, inputs, train=False), jnp.float32)
    return outputs


def predict_step(variables: Mapping[str, PyTree], images_bxhxwxc: Any, *, model: AnyModel, dtype: DTypeLike = jnp.float32) -> Outputs:
    """The model's float32 outputs for uint8 images, or what `input_of` returns, in evaluation mode; the computation is in `dtype`."""
    return apply_eval(variables, _scaled(images_bxhxwxc, _image_dtype(model, dtype)), model=model, dtype=dtype)


def _mapped(model: AnyModel, params: PyTree) -> tuple[nn.Module | Preprocessed, PyTree]:
    """The model and the parameters that it uses."""
    return (model.model, model.params(params)) if isinstance(model, Mapped) else (model, params)


def _image_dtype(model: AnyModel, dtype: DTypeLike) -> DTypeLike:
    """Operations read float32 images: bfloat16 would round pixels to fewer than 256 levels."""
    inner = model.model if isinstance(model, Mapped) else model
    return jnp.float32 if isinstance(inner, Preprocessed) else dtype


def _module_and_input(model: nn.Module | Preprocessed, inputs: Any, dtype: DTypeLike) -> tuple[nn.Module, Any]:
    """The linen module of a model, and what it reads of images in [0, 1]: of a video, a model of images reads the first frame.

    Raises UserError where a model of videos gets images.
    """
    if isinstance(inputs, Video) and not reads_videos(model):
        inputs = inputs.frames_bxtxhxwxc[:, 0]
    elif reads_videos(model) and not isinstance(inputs, Video):
        raise UserError("the model reads videos, but the data has images; use a source of videos, or imgloc track for a video file")
    if not isinstance(model, Preprocessed):
        return model, inputs
    return model.module, cast(apply_to_input(inputs, model.steps), dtype)


def start_video(
    variables: Mapping[str, PyTree], frame_bxhxwxc: UInt8[Array, "b h w c"], boxes_bxnx4: Float[Array, "b n 4"], *,
    model: AnyModel, dtype: DTypeLike = jnp.float32,
) -> Any:  # fmt: skip
    """The state of a model that follows objects, after the first frame of a video; see `imgloc.nn.tracking`."""
    inner, lowered = _lowered(model, variables, dtype)
    module, frame = _module_and_frame(inner, frame_bxhxwxc, dtype)
    return module.apply(lowered, frame, boxes_bxnx4, method="start")


def next_frame(
    variables: Mapping[str, PyTree], state: Any, frame_bxhxwxc: UInt8[Array, "b h w c"], *, model: AnyModel, dtype: DTypeLike = jnp.float32
) -> tuple[Any, jax.Array]:
    """The state after the next frame, and the probabilities (b, n) that its objects can be seen."""
    inner, lowered = _lowered(model, variables, dtype)
    module, frame = _module_and_frame(inner, frame_bxhxwxc, dtype)
    result: Any = module.apply(lowered, state, frame, method="step")
    new_state, logits_bxn = result
    return new_state, jax.nn.sigmoid(logits_bxn.astype(jnp.float32))


def _lowered(model: AnyModel, variables: Mapping[str, PyTree], dtype: DTypeLike) -> tuple[nn.Module | Preprocessed, dict[str, PyTree]]:
    """The model and the variables that it uses, with parameters in `dtype`."""
    inner, params = _mapped(model, variables.get("params", {}))  # a fitted model has none
    return inner, {name: cast(params, dtype) if name == "params" else collection for name, collection in variables.items()}


def _module_and_frame(
    model: nn.Module | Preprocessed, frame_bxhxwxc: UInt8[Array, "b h w c"], dtype: DTypeLike
) -> tuple[nn.Module, jax.Array]:
    """The linen module of a model, and what it reads of frames."""
    images = as_inputs(frame_bxhxwxc, _image_dtype(model, dtype))
    if isinstance(model, Preprocessed):
        return model.module, apply_to_input(images, model.steps).astype(dtype)
    return model, images
