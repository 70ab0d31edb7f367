"""Forests of decision trees as arrays: fitted by scikit-learn, evaluated in JAX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc.nn.fitted import fitted
from imgloc.types import FloatArray, IntArray

NO_SIZES = (1, 1, 0)


class Trees(nn.Module):
    """The mean over trees of the values of the leaves that vectors reach.

    A vector goes left where its feature is at most the threshold. All trees share the arrays of nodes; both children of a leaf are the
    leaf itself, so that `levels` steps bring every vector to a leaf.
    """

    trees: int
    values: int  # of a leaf
    sizes: tuple[int, ...] = NO_SIZES  # nodes and leaves of all trees, and levels of the deepest

    @nn.compact
    def __call__(self, features_bxd: jax.Array) -> jax.Array:
        """Returns (b, values) for features (b, d)."""
        nodes, leaves, levels = self.sizes
        root_t = fitted(self, "root", (self.trees,), jnp.int32)
        feature_n, threshold_n = fitted(self, "feature", (nodes,), jnp.int32), fitted(self, "threshold", (nodes,))
        children_nx2, leaf_n = fitted(self, "children", (nodes, 2), jnp.int32), fitted(self, "leaf", (nodes,), jnp.int32)
        value_lxv = fitted(self, "value", (leaves, self.values))

        def descend(_: int, node_bxt: jax.Array) -> jax.Array:
            is_right_bxt = jnp.take_along_axis(features_bxd, feature_n[node_bxt], axis=1) > threshold_n[node_bxt]
            return children_nx2[node_bxt, is_right_bxt.astype(jnp.int32)]

        start_bxt = jnp.broadcast_to(root_t, (features_bxd.shape[0], self.trees))
        reached_bxt = jax.lax.fori_loop(0, levels, descend, start_bxt)
        return value_lxv[leaf_n[reached_bxt]].mean(axis=1)


def tree_arrays(trees: Sequence[Any], values: Sequence[FloatArray]) -> tuple[dict[str, np.ndarray], tuple[int, int, int]]:
    """The variables and the `sizes` of `Trees`, from the `tree_` of scikit-learn's trees and the values [nodes, v] of each tree's nodes.

    scikit-learn compares float32 features with float64 thresholds; a threshold becomes the next float32 below, which decides the same.
    """
    starts = np.cumsum([0, *(tree.node_count for tree in trees)])
    feature_n, threshold_n = (np.concatenate([getattr(tree, name) for tree in trees]) for name in ("feature", "threshold"))
    is_leaf_n = feature_n < 0
    own_n = np.arange(starts[-1])

    def children(name: str) -> IntArray:
        moved_n = np.concatenate([getattr(tree, name) + start for tree, start in zip(trees, starts[:-1], strict=True)])
        return np.where(is_leaf_n, own_n, moved_n)

    arrays = {
        "root": starts[:-1].astype(np.int32),
        "feature": np.where(is_leaf_n, 0, feature_n).astype(np.int32),
        "threshold": np.where(is_leaf_n, np.float32(0), round_down(threshold_n)),
        "children": np.stack([children("children_left"), children("children_right")], axis=1).astype(np.int32),
        "leaf": np.where(is_leaf_n, np.cumsum(is_leaf_n) - 1, 0).astype(np.int32),
        "value": np.concatenate(values)[is_leaf_n].astype(np.float32),
    }
    return arrays, (int(starts[-1]), int(is_leaf_n.sum()), max(int(tree.max_depth) for tree in trees))


def round_down(values: FloatArray) -> FloatArray:
    """The largest float32 that is not above each value."""
    nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest)
