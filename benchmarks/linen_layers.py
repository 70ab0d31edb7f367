"""Replaces the layers of `imgloc.nn` by linen's, to time imgloc's models without imgloc's operations.

The layers of `imgloc.nn` have the fields and parameter names of linen's, so a model with linen's layers has the same parameters.
Only processes that time the implementation `linen` call this.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
from flax import linen as nn

from benchmarks import linen_cells

Padding: TypeAlias = str | Sequence[tuple[int, int]]
LINEN_MAX_POOL: Callable[..., jax.Array] = nn.max_pool  # bound before imgloc's functions are replaced
LINEN_AVERAGE_POOL: Callable[..., jax.Array] = nn.avg_pool
BUILT_ON_LAYERS = (
    "imgloc.models.", "benchmarks.models", "imgloc.nn.cells.irnn", "imgloc.nn.spatial_rnn",
)  # fmt: skip


def max_pool(
    x: jax.Array, window: tuple[int, int] = (2, 2), strides: tuple[int, int] | None = None, padding: Padding = "VALID"
) -> jax.Array:
    """Applies linen's max pooling; `strides` defaults to the window, as in `imgloc.nn.pool`."""
    return LINEN_MAX_POOL(x, window, strides=strides or window, padding=padding)


def average_pool(
    x: jax.Array, window: tuple[int, int] = (2, 2), strides: tuple[int, int] | None = None, padding: Padding = "VALID"
) -> jax.Array:
    """Applies linen's average pooling; `strides` defaults to the window, as in `imgloc.nn.pool`."""
    return LINEN_AVERAGE_POOL(x, window, strides=strides or window, padding=padding)


def replace_layers() -> None:
    """Replaces imgloc's layers. Raises RuntimeError where a module that uses them has been imported already."""
    loaded = [name for name in sys.modules if name.startswith(BUILT_ON_LAYERS)]
    if loaded:
        raise RuntimeError(f"{loaded[0]} is imported already and keeps imgloc's layers; call replace_layers first")
    from imgloc.nn import conv, norm, pool
    from imgloc.nn.cells import conv_lstm, elman, gru, lstm, minimal_gru

    for module, name, replacement in (
        (conv, "Conv", nn.Conv),
        (norm, "GroupNorm", nn.GroupNorm),
        (pool, "max_pool", max_pool),
        (pool, "average_pool", average_pool),
        (elman, "elman", linen_cells.elman),
        (lstm, "lstm", linen_cells.lstm),
        (gru, "gru", linen_cells.gru),
        (minimal_gru, "minimal_gru", linen_cells.minimal_gru),
        (conv_lstm, "conv_lstm", linen_cells.conv_lstm),
    ):
        if not hasattr(module, name):
            raise RuntimeError(f"{module.__name__} has no '{name}' to replace")
        setattr(module, name, replacement)
