"""imgloc's models on plain linen layers: what they would be without `imgloc.ops`.

The layers of `imgloc.ops` have linen's names of fields and parameters, so linen's own can stand in
for them: same model, same parameters, other operations. Only a process that times this does it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn

from benchmarks import linen_cells

PLAIN_MAX_POOL: Callable[..., Any] = nn.max_pool
PLAIN_AVERAGE_POOL: Callable[..., Any] = nn.avg_pool
BUILT_ON_LAYERS = (
    "imgloc.models.", "benchmarks.models", "imgloc.nn.cells.irnn", "imgloc.nn.directional", "imgloc.models.backbones.maps",
)  # fmt: skip


def max_pool(x: jax.Array, window: tuple[int, int] = (2, 2), strides: tuple[int, int] | None = None, padding: Any = "VALID") -> jax.Array:
    """linen's max pooling; `strides` defaults to the window, as in `imgloc.nn.pool`."""
    pooled: jax.Array = PLAIN_MAX_POOL(x, window, strides=strides or window, padding=padding)
    return pooled


def average_pool(
    x: jax.Array, window: tuple[int, int] = (2, 2), strides: tuple[int, int] | None = None, padding: Any = "VALID"
) -> jax.Array:
    """linen's average pooling; `strides` defaults to the window, as in `imgloc.nn.pool`."""
    pooled: jax.Array = PLAIN_AVERAGE_POOL(x, window, strides=strides or window, padding=padding)
    return pooled


def replace_layers() -> None:
    """From now on models are built on linen's layers. Call it before any model's module is imported."""
    loaded = [name for name in sys.modules if name.startswith(BUILT_ON_LAYERS)]
    if loaded:
        raise RuntimeError(f"{loaded[0]} is imported already and keeps the layers that it was imported with")
    from imgloc.nn import conv, norm, pool
    from imgloc.nn.cells import conv_lstm, elman, gru, lstm, minimal_gru

    for module, name, plain in (
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
            raise RuntimeError(f"{module.__name__} has no {name} to be replaced by linen's")
        setattr(module, name, plain)
