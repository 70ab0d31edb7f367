"""Magnitude pruning as an optax transformation: the smallest weights of each array become 0 and stay 0."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree
from ml_collections import ConfigDict

from imgloc.nn.freezing import Patterns
from imgloc.nn.quantization import compressed_mask


class PruningState(NamedTuple):
    """The number of updates so far, and the weights that are left: booleans of the shape of each pruned array, else one True."""

    step: jax.Array
    weights_kept: PyTree


def sparsity_at(step: jax.Array, sparsity: float, begin: int, end: int) -> jax.Array:
    """The share of zeros after a step: it grows from 0 to `sparsity` as a cubic (Zhu and Gupta, 2017, arXiv:1710.01878, equation 1)."""
    done = jnp.clip((step.astype(jnp.float32) - begin) / max(end - begin, 1), 0.0, 1.0)
    return jnp.where(step >= end, sparsity, sparsity * (1 - (1 - done) ** 3))


def prune(sparsity: float, *, begin: int, end: int, every: int, excluded: Patterns) -> optax.GradientTransformation:
    """A transformation that comes last in a chain: it replaces updates so that pruned weights are 0 after them.

    From update `begin` to update `end`, the weights that are left are chosen again every `every` updates, and at `end`: in each array
    those with the largest magnitude. A weight that is 0 stays 0. Where `begin` equals `end`, all are chosen at once.
    """

    def init(params: PyTree) -> PruningState:
        chosen = compressed_mask(params, excluded)
        return PruningState(jnp.int32(0), jax.tree.map(lambda leaf, on: jnp.ones(leaf.shape if on else (), bool), params, chosen))

    def update(updates: PyTree, state: PruningState, params: PyTree | None = None) -> tuple[PyTree, PruningState]:
        if params is None:
            raise ValueError("pruning needs the parameters")
        share = sparsity_at(state.step, sparsity, begin, end)
        due = (state.step >= begin) & (state.step <= end) & (((state.step - begin) % every == 0) | (state.step == end))

        def choose(kept: PyTree) -> PyTree:
            return jax.tree.map(lambda k, w, u: k if k.ndim == 0 else k & _largest(jnp.where(k, w + u, 0), share), kept, params, updates)

        kept = jax.lax.cond(due, choose, lambda kept: kept, state.weights_kept)
        updates = jax.tree.map(lambda k, w, u: jnp.where(k, u, -w), kept, params, updates)
        return updates, PruningState(state.step + 1, kept)

    return optax.GradientTransformation(init, update)


def with_pruning(
    optimizer: optax.GradientTransformation, compression: ConfigDict, steps: int, excluded: Patterns
) -> optax.GradientTransformation:
    """The optimizer of a run of `steps` steps, with the pruning of a config's section `compression`, if any."""
    if not compression.sparsity:
        return optimizer
    begin, end = round(compression.prune_during[0] * steps), _last_update(compression, steps)
    pruning = prune(compression.sparsity, begin=min(begin, end), end=end, every=compression.prune_every, excluded=excluded)
    return optax.chain(optimizer, pruning)


def last_pruning_step(config: ConfigDict) -> int:
    """The step after whose update weights are no longer chosen; -1 without pruning. Only a later model can be the best one."""
    return _last_update(config.compression, config.train.steps) if config.compression.sparsity else -1


def _last_update(compression: ConfigDict, steps: int) -> int:
    end: float = compression.prune_during[1]
    return min(round(end * steps), steps - 1)


def without_pruned(params: PyTree, opt_state: optax.OptState) -> PyTree:
    """The parameters with 0 for the weights that are pruned, for averages, which would reach 0 only slowly."""
    kept = optax.tree_utils.tree_get(opt_state, "weights_kept")
    return params if kept is None else jax.tree.map(lambda k, w: jnp.where(k, w, 0), kept, params)


def _largest(weights: jax.Array, share: jax.Array) -> jax.Array:
    """True for all weights but the `share` of them with the smallest magnitude; ties are decided by position."""
    order = jnp.argsort(jnp.abs(weights).reshape(-1))
    rank = jnp.zeros(weights.size, jnp.int32).at[order].set(jnp.arange(weights.size, dtype=jnp.int32))
    return (rank >= jnp.round(share * weights.size).astype(jnp.int32)).reshape(weights.shape)
