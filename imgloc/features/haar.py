"""Haar-like features: differences of sums over adjacent rectangles, read from an integral image.

Viola and Jones, 2001 (doi:10.1109/CVPR.2001.990517). A feature is a weighted sum of at most nine places of the integral image, so all
five kinds are computed alike. The kinds and their order are those of `skimage.feature.haar_like_feature_coord`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from imgloc.errors import UserError, as_names, unknown
from imgloc.types import Array, IntArray

#: Kind -> (rectangles down, rectangles across).
KINDS = {"type-2-x": (1, 2), "type-2-y": (2, 1), "type-3-x": (1, 3), "type-3-y": (3, 1), "type-4": (2, 2)}
MAX_CORNERS = 9


@dataclass(frozen=True, eq=False)
class HaarFeatures:
    """Descriptions of f features of windows of one size.

    Corner (row, column) of the integral image has the sum of the pixels above it and left of it. Unused corners have the weight 0.
    """

    height: int  # of the window, in pixels
    width: int
    corners_fxkx2: IntArray
    weights_fxk: IntArray

    def __len__(self) -> int:
        return len(self.weights_fxk)

    def __getitem__(self, indices: IntArray | slice) -> HaarFeatures:
        """The features of these indices, or of a slice or mask."""
        return HaarFeatures(self.height, self.width, self.corners_fxkx2[indices], self.weights_fxk[indices])


def haar_features(height: int, width: int, kinds: str | Sequence[str] = tuple(KINDS)) -> HaarFeatures:
    """All features of these kinds that fit into a window of `height` x `width` pixels, with each place and size of their rectangles.

    Rectangles alternate in sign; the first one, top left, is negative. Raises UserError for an unknown kind and a window without pixels.
    """
    if min(height, width) < 1:
        raise UserError(f"the window of Haar-like features must have at least 1 x 1 pixels, got {height} x {width}")
    corners, weights = [], []
    for kind in as_names(kinds):
        if kind not in KINDS:
            raise unknown("kind of Haar-like features", kind, KINDS)
        down, across = KINDS[kind]
        grid = np.stack(
            np.meshgrid(*(np.arange(n) for n in (height, width)), *(np.arange(1, n + 1) for n in (height, width)), indexing="ij")
        )
        y, x, dy, dx = grid.reshape(4, -1)
        y, x, dy, dx = np.stack([y, x, dy, dx])[:, (y + down * dy <= height) & (x + across * dx <= width)]
        places = np.zeros((len(y), MAX_CORNERS, 2), np.int32)
        signs = np.zeros((len(y), MAX_CORNERS), np.int32)
        for k, (i, j) in enumerate(np.ndindex(down + 1, across + 1)):
            places[:, k] = np.stack([y + i * dy, x + j * dx], axis=1)
            signs[:, k] = _corner_weight(i, j, down, across)
        corners.append(places)
        weights.append(signs)
    return HaarFeatures(height, width, np.concatenate(corners), np.concatenate(weights))


def _corner_weight(i: int, j: int, down: int, across: int) -> int:
    """The weight of a corner of the grid of rectangles: each adds its top left and bottom right corner and subtracts the other two."""
    weight = 0
    for row, column, sign in ((i, j, 1), (i - 1, j - 1, 1), (i - 1, j, -1), (i, j - 1, -1)):
        if 0 <= row < down and 0 <= column < across:
            weight += sign if (row + column) % 2 else -sign
    return weight


def integral(images_bxhxw: Array) -> jax.Array:
    """Sums of all pixels above and left of each corner: (b, h + 1, w + 1); int32 and exact for integers, else float32."""
    images = jnp.asarray(images_bxhxw)
    images = images.astype(jnp.int32 if jnp.issubdtype(images.dtype, jnp.integer) else jnp.float32)
    return jnp.pad(images, ((0, 0), (1, 0), (1, 0))).cumsum(axis=1).cumsum(axis=2)


def haar_values(windows_bxhxw: Array, features: HaarFeatures) -> jax.Array:
    """The values (b, f) of features on windows of their size: int32 and exact for integers, else float32.

    Float windows are centered first, which reduces rounding. Raises UserError for windows of another size.
    """
    windows = jnp.asarray(windows_bxhxw)
    if windows.shape[1:] != (features.height, features.width):
        got = " x ".join(str(n) for n in windows.shape[1:])
        raise UserError(f"Haar-like features of windows of {features.height} x {features.width} pixels cannot read windows of {got} pixels")
    return haar_maps(windows, features)[:, 0, 0]


def haar_maps(images_bxhxw: Array, features: HaarFeatures) -> jax.Array:
    """The values of features on all windows of images: (b, h - height + 1, w - width + 1, f), as those of `haar_values`.

    Raises UserError for images smaller than the window.
    """
    images = jnp.asarray(images_bxhxw)
    if images.shape[1] < features.height or images.shape[2] < features.width:
        got = f"{images.shape[1]} x {images.shape[2]}"
        raise UserError(f"images of {got} pixels hold no window of {features.height} x {features.width} pixels")
    exact = jnp.issubdtype(images.dtype, jnp.integer)
    mean = jnp.zeros((images.shape[0], 1, 1), images.dtype) if exact else images.mean(axis=(1, 2), keepdims=True)
    corners, weights = jnp.asarray(features.corners_fxkx2), jnp.asarray(features.weights_fxk)
    values: jax.Array = _read(integral(images - mean), corners, weights, height=features.height, width=features.width)
    if exact:
        return values
    # The sum of the signed areas of the rectangles is what the mean contributes.
    area_f = (features.weights_fxk * features.corners_fxkx2.prod(axis=-1)).sum(axis=-1)
    return jnp.asarray(values + mean[..., None] * area_f.astype(np.float32))


@partial(jax.jit, static_argnames=("height", "width"))
def _read(sums_bxrxs: jax.Array, corners_fxkx2: jax.Array, weights_fxk: jax.Array, *, height: int, width: int) -> jax.Array:
    """Weighted sums of corners for the windows of `height` x `width` pixels at all places: (b, rows, columns, f)."""
    b, rows, columns = sums_bxrxs.shape
    places_p = (jnp.arange(rows - height)[:, None] * columns + jnp.arange(columns - width)).reshape(-1)
    index_fxk = corners_fxkx2[..., 0] * columns + corners_fxkx2[..., 1]
    flat_bxi, weights_fxk = sums_bxrxs.reshape(b, rows * columns), weights_fxk.astype(sums_bxrxs.dtype)
    values_bxpxf = jnp.zeros((b, len(places_p), len(index_fxk)), sums_bxrxs.dtype)
    for k in range(MAX_CORNERS):  # one gather for each corner: XLA fuses it with the product and the sum
        values_bxpxf += weights_fxk[:, k] * flat_bxi[:, places_p[:, None] + index_fxk[:, k]]
    return values_bxpxf.reshape(b, rows - height, columns - width, len(index_fxk))
