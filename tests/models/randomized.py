"""Shapes of models without computing them, and random variables: initial scales of 1 and means of 0 would hide mistakes."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def randomized(module: Any, images: Any) -> Any:
    """Variables (NumPy) of a module with random scales, biases and running statistics; kernels preserve the variance of their inputs.

    They do not come from the `init` of the module, whose compilation takes longer than a test.
    """
    rng = np.random.default_rng(0)

    def filled(path: Any, value: Any) -> Any:
        if path[-1].key in ("scale", "var"):
            return rng.uniform(0.5, 1.5, value.shape).astype(np.float32)
        std = math.sqrt(2 / math.prod(value.shape[:-1])) if path[-1].key == "kernel" else 0.1
        return rng.normal(0, std, value.shape).astype(np.float32)

    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), images, train=False))
    return jax.tree_util.tree_map_with_path(filled, variables)


def shapes(model: Any, size: tuple[int, int]) -> tuple[Any, Any]:
    """Shapes of the outputs of a model for one image (height, width, 3), and of its variables."""
    images = jnp.zeros((1, *size, 3))
    outputs, variables = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), images, train=False))
    return jax.tree.map(lambda a: a.shape, outputs), jax.tree.map(lambda a: a.shape, variables)


def count(tree_of_shapes: Any) -> int:
    """The total number of elements of arrays of these shapes."""
    return sum(math.prod(shape) for shape in jax.tree.leaves(tree_of_shapes, is_leaf=lambda x: isinstance(x, tuple)))
