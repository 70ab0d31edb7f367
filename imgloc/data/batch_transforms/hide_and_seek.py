"""Hide-and-Seek: random cells of a grid over each image are hidden (Singh and Lee, 2017, arXiv:1704.04232), on the device.

The network then also learns from the less discriminative parts of an object.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.data.batches.mixing import with_probability
from imgloc.data.batches.rectangles import content_rectangles, pixels_inside
from imgloc.data.transforms.options import check_number
from imgloc.errors import UserError
from imgloc.types import Array, Batch

KEY = "data.batch_transforms.hide_and_seek"
MAX_CELLS = 64


def transform(
    batch: Batch, key: jax.Array, *, probability: float = 1.0, hide: float = 0.5, cells: tuple[int, ...] = (0, 4, 5, 7, 14)
) -> Batch:
    """The batch with each cell of a grid hidden with the probability `hide`, in each image with a probability.

    cells: numbers of cells along a side, of which each image draws one; 0 hides nothing. The defaults are the paper's mixed sizes: cells
    of 56, 44, 32 and 16 pixels of 224, and the whole image. Boxes do not change. Raises UserError for options out of range.
    """
    check_number(f"{KEY}.probability", probability, 0.0, 1.0)
    check_number(f"{KEY}.hide", hide, 0.0, 1.0)
    if not cells or not all(isinstance(count, int) and 0 <= count <= MAX_CELLS for count in cells):
        raise UserError(f"{KEY}.cells must be whole numbers from 0 to {MAX_CELLS} such as (0, 4, 7), got {cells}")
    apply_key, cells_key, hide_key = jax.random.split(key, 3)
    size, most = len(batch.label_b), max(*cells, 1)
    cells_b = jax.random.choice(cells_key, jnp.array(cells, jnp.int32), (size,))
    hidden_bxgxg = jax.random.bernoulli(hide_key, hide, (size, most, most))
    return with_probability(apply_key, probability, hidden(batch, cells_b, hidden_bxgxg), batch)


def hidden(batch: Batch, cells_b: Array, hidden_bxgxg: Array) -> Batch:
    """Each image with the hidden cells of its grid, of `cells_b` cells a side, in the mean color of the batch.

    The paper uses the mean color of the data set, so that the network meets the same activations on average as without hidden cells.
    The grid is laid over the whole input, but the padding of a letterbox does not change.
    """
    images = jnp.asarray(batch.images_bxhxwxc)
    height, width = images.shape[1:3]
    row_bxh, column_bxw = (jnp.arange(side) * jnp.asarray(cells_b)[:, None] // side for side in (height, width))
    pixels_bxhxw = jax.vmap(lambda grid_gxg, row_h, column_w: grid_gxg[row_h[:, None], column_w])(hidden_bxgxg, row_bxh, column_bxw)
    hides = pixels_bxhxw & (jnp.asarray(cells_b) > 0)[:, None, None]
    inside = pixels_inside(content_rectangles(batch), batch)
    return batch._replace(images_bxhxwxc=jnp.where(hides[..., None] & inside, _mean_color(batch, inside), images))


def _mean_color(batch: Batch, inside_bxhxwx1: jax.Array) -> jax.Array:
    """The mean (c,) of the mean colors of the images, each rounded; in integers, so that it has the same bits on any devices."""
    pixels_bx1 = jnp.maximum(inside_bxhxwx1.sum(axis=(1, 2)), 1)
    sums_bxc = jnp.where(inside_bxhxwx1, batch.images_bxhxwxc, 0).sum(axis=(1, 2), dtype=jnp.uint32)
    means_bxc = jnp.where(jnp.asarray(batch.example_mask_b)[:, None], sums_bxc // pixels_bx1.astype(jnp.uint32), 0)
    return (means_bxc.sum(axis=0) // jnp.maximum(batch.example_mask_b.sum(), 1).astype(jnp.uint32)).astype(jnp.uint8)
