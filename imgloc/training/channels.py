"""Structured pruning: the variables of a narrower model, from the channels of a wide one that matter most.

Which axes of which arrays shrink is the difference of the shapes of both models. Which of their indices belong together is found without
rules for layers, through residuals, concatenations and reshapes, by a probe: in a copy of the wide model with random kernels and without
biases, a channel whose kernel is zero is zero everywhere, so that the gradients of all weights that read it are exactly zero. These are
the groups of DepGraph (Fang et al., 2023, arXiv:2301.12900). Channels are ranked by the magnitude of the scale of their normalization
(Liu et al., 2017, arXiv:1708.06519), or else by the norm of their kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from imgloc.errors import UserError
from imgloc.inference.bundle import named, unnamed
from imgloc.nn.apply import predict_step
from imgloc.nn.preprocess import AnyModel
from imgloc.types import Shape

PROBES = 2  # images
Arrays = Mapping[str, np.ndarray]  # by path
Gradients = Callable[[Arrays], Arrays]  # channels kept, by kernel -> where the gradients of a probe without the others are not zero


def narrowed(values: Mapping[str, Any], wide: AnyModel, abstract: PyTree, narrow: PyTree, shape: Shape) -> dict[str, np.ndarray]:
    """The values by path that remain of `values` in a model whose variables have the shapes of `narrow`.

    `wide` is the model of the values, `abstract` the shapes of its variables, and `shape` that of an image (h, w, c). Raises UserError
    where the narrow model has other layers or wider ones, and where removing channels changes what the others compute.
    """
    sizes = {name: leaf.shape for name, leaf in named(narrow).items()}
    for name, value in values.items():
        if name not in sizes or len(sizes[name]) != value.ndim or any(a > b for a, b in zip(sizes[name], value.shape, strict=True)):
            expected = f"'{name}' at most of shape {value.shape}, got {sizes.get(name, 'no such array')}"
            raise UserError(f"compression.structured: a narrower model of the same layers must have {expected}; change only widths")
    if extra := sorted(sizes.keys() - values.keys()):
        raise UserError(f"compression.structured: the model of train.init_from has no array '{extra[0]}'; change only widths")
    arrays = {name: np.asarray(value) for name, value in values.items()}
    producers = [name for name, array in arrays.items() if _is_kernel(name, array) and array.shape[-1] > sizes[name][-1]]
    gradients = _probe(wide, abstract, shape)
    without_first = {name: gradients({name: np.arange(1, arrays[name].shape[-1])}) for name in producers}
    kept: dict[str, np.ndarray] = {}
    for group in groups(arrays, sizes, gradients, without_first):
        scores = np.sum([importance(arrays, name, without_first[name]) for name in group], axis=0)
        chosen = np.sort(np.argsort(-scores, kind="stable")[: sizes[group[0]][-1]])
        kept |= dict.fromkeys(group, chosen)
    return _taken(arrays, sizes, kept, gradients(kept))


def groups(arrays: Arrays, sizes: Mapping[str, Shape], gradients: Gradients, without_first: Mapping[str, Arrays]) -> list[list[str]]:
    """The kernels that must keep the same channels, for the gradients of each kernel without its first channel.

    Kernels are added to each other where a weight is only without a use once the first channels of all of them are removed. One that
    multiplies another, channel by channel, is without a use once the channel of the other is removed.
    """
    first = {name: np.arange(1, arrays[name].shape[-1]) for name in without_first}
    unread = _unread(gradients(first), arrays, sizes)
    label = {name: name for name in without_first}
    needed: dict[Any, str] = {}  # a kernel that must be without its first channel for a weight to be without a use
    for name, alive in without_first.items():
        others = [each for each in without_first if each != name and not alive[each][..., 0].any()]
        with_it = _unread(gradients({each: chosen for each, chosen in first.items() if each != name}), arrays, sizes)
        others += [needed.setdefault(weight, name) for weight in unread - with_it]
        joined = {label[each] for each in others}
        label = {each: label[name] if old in joined else old for each, old in label.items()}
    return [[name for name in label if label[name] == each] for each in dict.fromkeys(label.values())]


def _unread(alive: Arrays, arrays: Arrays, sizes: Mapping[str, Shape]) -> set[tuple[str, int, int]]:
    """The inputs of kernels, by name, axis and index, that are always zero."""
    kernels = {name: array for name, array in arrays.items() if _is_kernel(name, array)}
    axes = [(name, axis) for name, array in kernels.items() for axis in range(array.ndim - 1) if array.shape[axis] > sizes[name][axis]]
    return {(name, axis, int(index)) for name, axis in axes for index in (~_any(alive[name], axis)).nonzero()[0]}


def importance(arrays: Arrays, kernel: str, alive: Arrays) -> np.ndarray:
    """The scores of the channels of a kernel (c), of mean 1: scales of the normalization that follows, or else norms.

    `alive` is where gradients are not zero without its first channel.
    """
    array = arrays[kernel]
    scores = np.sqrt(np.square(array).sum(axis=tuple(range(array.ndim - 1))))
    for name, each in arrays.items():
        if name.endswith("/scale") and each.shape == array.shape[-1:] and not alive[name][0]:
            scores = np.abs(each)
    return np.asarray(scores / max(float(scores.mean()), 1e-12))


def _taken(arrays: Arrays, sizes: Mapping[str, Shape], kept: Arrays, alive: Arrays) -> dict[str, np.ndarray]:
    """The parts of all arrays that the kept channels compute or read."""
    last = {_module(name): alive[name].nonzero()[0] for name, array in arrays.items() if name.endswith("/scale") and array.ndim == 1}
    last |= {_module(name): chosen for name, chosen in kept.items()}
    taken = {}
    for name, array in arrays.items():
        taken[name] = array
        for axis, (before, after) in enumerate(zip(array.shape, sizes[name], strict=True)):
            if before == after:
                continue
            vector = array.ndim == 1
            computed = axis == array.ndim - 1 and (vector or name in kept)
            chosen = last.get(_module(name), np.arange(0)) if computed else _any(alive[name], axis).nonzero()[0]
            if len(chosen) != after:
                what = f"of the {before} channels on axis {axis} of '{name}', {len(chosen)} are left, expected {after}"
                raise UserError(f"compression.structured cannot remove channels of this model: {what}; train a narrower one by distill")
            taken[name] = np.take(taken[name], chosen, axis)
    return taken


def _probe(model: AnyModel, abstract: PyTree, shape: Shape) -> Gradients:
    """The gradients of a copy of the model with random kernels, in which every channel that is not kept is zero.

    Images and kernels are positive, so that no other unit is zero behind a rectifier.
    """
    rng = np.random.default_rng(0)
    images = rng.integers(128, 256, (PROBES, *shape), dtype=np.uint8)

    def draw(name: str, leaf: Any) -> np.ndarray:
        if leaf.ndim >= 2:
            return np.asarray(rng.uniform(0.5, 1.5, leaf.shape) / np.prod(leaf.shape[:-1]), leaf.dtype)
        return np.full(leaf.shape, name.endswith(("/scale", "/var")), leaf.dtype)

    drawn = {name: draw(name, leaf) for name, leaf in named(abstract).items()}

    @jax.jit
    def gradient(variables: PyTree) -> PyTree:
        def total(variables: PyTree) -> jax.Array:
            outputs = predict_step(variables, images, model=model)
            values = [value for name, value in outputs.items() if name != "features" and jnp.issubdtype(value.dtype, jnp.floating)]
            weights = [jax.random.normal(jax.random.key(i), value.shape) for i, value in enumerate(values)]
            return sum((jnp.vdot(weight, value) for weight, value in zip(weights, values, strict=True)), jnp.zeros(()))

        return jax.grad(total)(variables)

    def gradients(kept: Arrays) -> Arrays:
        probed = dict(drawn)
        for name, chosen in kept.items():
            mask = np.zeros(drawn[name].shape[-1], drawn[name].dtype)
            mask[chosen] = 1
            probed[name] = drawn[name] * mask
        found = named(jax.device_get(gradient(unnamed(probed, abstract))))
        return {name: np.asarray(value) != 0 for name, value in found.items()}

    return gradients


def _is_kernel(name: str, array: np.ndarray) -> bool:
    return name.startswith("params/") and array.ndim >= 2


def _module(name: str) -> str:
    """The path of the layer of an array, without its collection."""
    return name.partition("/")[2].rpartition("/")[0]


def _any(mask: np.ndarray, axis: int) -> np.ndarray:
    return np.asarray(mask.any(axis=tuple(i for i in range(mask.ndim) if i != axis)))
