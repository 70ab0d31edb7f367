"""Connected components of masks, and their boxes, areas and centers."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax import lax

from imgloc.errors import UserError, unknown
from imgloc.types import Array

Order = Literal["label", "area"]
#: Half of the neighbors of a pixel, (down, right), by connectivity; the other half are their opposites.
NEIGHBORS = {1: ((0, 1), (1, 0)), 2: ((0, 1), (1, 0), (1, 1), (1, -1))}


def label(values_bxhxw: Array, *, connectivity: int = 2) -> jax.Array:
    """Returns the numbers of the connected components of each image, int32 (b, h, w): the labels of `skimage.measure.label`.

    Values are booleans or integers. Pixels of value 0 (False) get 0. Neighbors of equal value belong to one component; a pixel has 4
    neighbors with connectivity 1, and 8 with 2. Components are numbered from 1 in the order of their first pixels, row by row.
    Raises UserError for other types, shapes and connectivities.

    Every pixel points to an earlier pixel of its component, at first to the start of its run in its row. Trees of pointers are joined and
    flattened until nothing changes (Zhang, Azad and Hu, "FastSV: A distributed-memory connected component algorithm with fast
    convergence", 2020). The number of rounds grows with the logarithm of the length of a component: a spiral over 256 x 256 pixels
    takes fewer than 10.
    """
    values = jnp.asarray(values_bxhxw)
    if values.ndim != 3:
        raise UserError(f"masks must have the axes (b, h, w), got the shape {tuple(values.shape)}")
    if not (values.dtype == bool or jnp.issubdtype(values.dtype, jnp.integer)):
        raise UserError(f"masks must be booleans or integers, got {values.dtype}; compare them with a threshold first")
    if connectivity not in NEIGHBORS:
        raise UserError(f"connectivity must be 1 or 2, got {connectivity!r}")
    place = jnp.arange(values.size, dtype=jnp.int32).reshape(values.shape)
    before = jnp.pad(values[:, :, :-1], ((0, 0), (0, 0), (1, 0)))
    starts = (values != before) | (jnp.arange(values.shape[2]) == 0)
    parents = lax.cummax(jnp.where(starts, place, 0), axis=2)
    neighbors = [(down, right, _equal_neighbor(values, down, right)) for down, right in NEIGHBORS[connectivity]]

    def join(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        parents, _ = state
        flat = parents.reshape(-1)
        grandparents = flat[parents]
        least = _least_of_neighbors(grandparents, neighbors)
        joined = flat.at[parents.reshape(-1)].min(least.reshape(-1)).reshape(values.shape)
        joined = jnp.minimum(joined, least)
        # Two jumps shorten paths to a quarter.
        for _ in range(2):
            joined = joined.reshape(-1)[joined]
        return joined, jnp.any(joined != parents)

    roots, _ = lax.while_loop(lambda state: state[1], join, (parents, jnp.asarray(True)))
    numbers = jnp.cumsum(((roots == place) & (values != 0)).reshape(values.shape[0], -1).astype(jnp.int32), axis=1)
    return jnp.where(values != 0, numbers.reshape(-1)[roots], 0)


def _equal_neighbor(values: jax.Array, down: int, right: int) -> jax.Array:
    """Where the neighbor exists and has the same value."""
    height, width = values.shape[1:]
    row, column = jnp.arange(height)[:, None] + down, jnp.arange(width)[None] + right
    return (values == _shifted(values, down, right)) & (row < height) & (column >= 0) & (column < width)


def _shifted(values: jax.Array, down: int, right: int) -> jax.Array:
    """At each pixel the value of a neighbor; beyond the border those of the opposite side."""
    return jnp.roll(values, (-down, -right), axis=(1, 2))


def _least_of_neighbors(numbers: jax.Array, neighbors: list[tuple[int, int, jax.Array]]) -> jax.Array:
    least = numbers
    for down, right, equal in neighbors:
        least = jnp.minimum(least, jnp.where(equal, _shifted(numbers, down, right), numbers))
        # The same pair, seen from the neighbor.
        here = _shifted(equal, -down, -right)
        least = jnp.minimum(least, jnp.where(here, _shifted(numbers, -down, -right), numbers))
    return least


class Regions(NamedTuple):
    """Some components of each image, in n places; places without a component hold zeros."""

    labels_bxn: jax.Array  # int32; 0: no component
    boxes_bxnx4: jax.Array  # float32, in [0, 1]
    areas_bxn: jax.Array  # int32, in pixels
    centers_bxnx2: jax.Array  # float32 (x, y) in [0, 1], the mean of the centers of the pixels
    count_b: jax.Array  # int32, the number of all components, which may exceed n


def regions(labels_bxhxw: Array, max_count: int, *, order: Order = "area") -> Regions:
    """Returns boxes, areas and centers of at most `max_count` components of each image, as `skimage.measure.regionprops` computes them.

    Labels are those of `label`: integers from 0 (no component) to at most h * w. Components are sorted by area, the largest first and
    equal ones by label, or by label. The box of the largest component is thus `regions(label(masks), 1).boxes_bxnx4[:, 0]`.
    Raises UserError for a count below 1 and an unknown order.
    """
    labels = jnp.asarray(labels_bxhxw)
    if labels.ndim != 3 or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise UserError(f"labels must be integers (b, h, w), got {labels.dtype} {tuple(labels.shape)}")
    if max_count < 1:
        raise UserError(f"max_count must be at least 1, got {max_count}")
    if order not in get_args(Order):
        raise unknown("order", order, get_args(Order))
    return jax.vmap(lambda one: _regions(one, max_count, order))(labels)


def _regions(labels_hxw: jax.Array, max_count: int, order: Order) -> Regions:
    height, width = labels_hxw.shape
    places, flat = height * width, labels_hxw.reshape(-1)
    areas = jnp.zeros(max(places, max_count) + 1, jnp.int32).at[flat].add(1).at[0].set(0)
    chosen = jnp.argsort(-areas[1:], stable=True)[:max_count] if order == "area" else jnp.argsort(areas[1:] == 0, stable=True)[:max_count]
    chosen = chosen.astype(jnp.int32) + 1
    area = areas[chosen]
    present = area > 0
    # The place of each component among the chosen ones; the others share one more place.
    place = jnp.full(areas.shape, max_count).at[chosen].set(jnp.where(present, jnp.arange(max_count), max_count))[flat]
    place = jnp.where(flat > 0, place, max_count)
    row, column = (each.reshape(-1) for each in jnp.mgrid[:height, :width])

    def over(numbers: jax.Array, reduction: str, start: int) -> jax.Array:
        result: jax.Array = getattr(jnp.full(max_count + 1, start, numbers.dtype).at[place], reduction)(numbers)
        return result[:-1]

    size = jnp.array([width, height, width, height], jnp.float32)
    edges = [over(column, "min", width), over(row, "min", height), over(column, "max", -1) + 1, over(row, "max", -1) + 1]
    boxes = jnp.stack(edges, axis=-1).astype(jnp.float32) / size
    # Integers: offsets from the box keep the sums small.
    sums = [
        over(column - edges[0][jnp.minimum(place, max_count - 1)], "add", 0),
        over(row - edges[1][jnp.minimum(place, max_count - 1)], "add", 0),
    ]
    means = jnp.stack([s / jnp.maximum(area, 1) + e for s, e in zip(sums, edges[:2], strict=True)], axis=-1)
    centers = (means.astype(jnp.float32) + 0.5) / size[:2]
    return Regions(
        jnp.where(present, chosen, 0),
        jnp.where(present[:, None], boxes, 0),
        area,
        jnp.where(present[:, None], centers, 0),
        jnp.sum(areas > 0, dtype=jnp.int32),
    )
