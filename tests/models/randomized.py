"""Shapes without computing, and variables far from where training starts: scales of 1 and means of 0 hide much."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def randomized(module: Any, images: Any) -> Any:
    """Variables (NumPy) of a module with random scales, biases and running statistics; kernels keep the variance of what they see.

    Not by the module's own `init`, whose compilation takes longer than such a test.
    """
    rng = np.random.default_rng(0)

    def filled(path: Any, value: Any) -> Any:
        if path[-1].key in ("scale", "var"):
            return rng.uniform(0.5, 1.5, value.shape).astype(np.float32)
        deviation = math.sqrt(2 / math.prod(value.shape[:-1])) if path[-1].key == "kernel" else 0.1
        return rng.normal(0, deviation, value.shape).astype(np.float32)

    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), images, train=False))
    return jax.tree_util.tree_map_with_path(filled, variables)


def shapes(model: Any, size: tuple[int, int]) -> tuple[Any, Any]:
    """The shapes of a model's outputs for one image (height, width, 3), and of its variables."""
    images = jnp.zeros((1, *size, 3))
    outputs, variables = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), images, train=False))
    return jax.tree.map(lambda a: a.shape, outputs), jax.tree.map(lambda a: a.shape, variables)


def count(tree_of_shapes: Any) -> int:
    """How many numbers arrays of these shapes hold."""
    return sum(math.prod(shape) for shape in jax.tree.leaves(tree_of_shapes, is_leaf=lambda x: isinstance(x, tuple)))
