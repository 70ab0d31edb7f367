"""Small score maps for properties: noise, few levels, blobs, rings, checkerboards, and maps that are level at the frame."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from imgloc.types import FloatArray

KINDS = ("noise", "few levels", "blobs", "rings", "checkerboard", "one level", "walls")


@st.composite
def score_maps(draw: st.DrawFn, largest: int = 14) -> FloatArray:
    """A map of floats from 0 to 1; any side may be 1."""
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    rng, kind = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(st.sampled_from(KINDS))
    row_hx1, column_1xw = np.arange(height)[:, None], np.arange(width)[None]
    distances = [np.hypot(row_hx1 - rng.integers(height), column_1xw - rng.integers(width)) for _ in range(3)]
    match kind:
        case "noise":
            map_hxw = rng.random((height, width))
        case "few levels":
            map_hxw = rng.integers(0, (levels := rng.integers(2, 6)), (height, width)) / (levels - 1)
        case "blobs":
            map_hxw = sum(np.exp(-((distance / rng.uniform(1, 4)) ** 2)) for distance in distances) / 3
        case "rings":
            map_hxw = np.max([np.exp(-((distance - rng.uniform(1, 5)) ** 2)) for distance in distances], axis=0)
        case "checkerboard":
            map_hxw = ((row_hx1 + column_1xw) % 2) * rng.choice([0.3, 0.6, 1.0], (height, width))
        case "walls":
            map_hxw = np.where(rng.random((height, width)) < 0.6, 1.0, rng.integers(0, 3, (height, width)) / 4)
        case _:
            map_hxw = np.full((height, width), rng.choice([0.0, 0.5, 1.0]))
    return np.asarray(map_hxw, np.float64)


def levels_of(map_hxw: FloatArray) -> np.ndarray:
    """The levels of a map, as the protocol has them."""
    return (map_hxw * 255).astype(np.uint8)
