"""The sanity check: an explanation of a model must change when its weights become random.

The check is that of Adebayo et al., 2018, arXiv:1810.03292.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from scipy import stats

from imgloc.randomness import purpose_number
from imgloc.types import FloatArray


def cascade(variables: Mapping[str, Any], modules: Sequence[str], key: jax.Array, stages: int) -> Iterator[Mapping[str, Any]]:
    """Yields variables with the weights of more and more modules randomized, from the last module to the first, in equal stages.

    `modules` are the paths of modules in the order of computation; those that are not among them come last. The entries of each array
    are shuffled, so that their distribution stays; the paper draws them again.
    """
    own = {path for path, _ in map(_place, jax.tree_util.tree_leaves_with_path(variables["params"]))}
    owners = [path for path in reversed(modules) if path in own]
    owners += sorted(own.difference(owners))
    bounds = np.linspace(0, len(owners), min(stages, len(owners)) + 1).round().astype(int).tolist()
    for high in bounds[1:]:
        chosen = set(owners[:high])

        def randomized(path: Any, array: jax.Array, chosen: set[str] = chosen) -> jax.Array:
            owner, name = _place((path, array))
            if owner not in chosen:
                return array
            own_key = jax.random.fold_in(key, purpose_number(f"{owner}/{name}") % 2**31)
            return jax.random.permutation(own_key, array.reshape(-1)).reshape(array.shape)

        yield {**variables, "params": jax.tree_util.tree_map_with_path(randomized, variables["params"])}


def _place(leaf: tuple[Any, Any]) -> tuple[str, str]:
    """The path of the module that has a parameter, and the name of the parameter."""
    *owner, name = (str(entry.key) for entry in leaf[0])
    return "/".join(owner), name


def rank_correlation(maps_bxhxw: FloatArray, others_bxhxw: FloatArray) -> FloatArray:
    """Spearman's rank correlation (b,) of the pixels of two maps, with mean ranks for ties; 0 where a map is flat."""
    ranks = [stats.rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (maps_bxhxw, others_bxhxw)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    scale = np.sqrt(np.square(a).sum(axis=1) * np.square(b).sum(axis=1))
    return np.where(scale > 0, (a * b).sum(axis=1) / np.where(scale > 0, scale, 1.0), 0.0)
