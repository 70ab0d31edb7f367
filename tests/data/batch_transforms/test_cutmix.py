"""CutMix on the device against slices in NumPy."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc.data.batch_transforms.cutmix import pasted, transform
from imgloc.data.transforms.window import boxes_in_window
from imgloc.types import Batch
from tests.drawn_batches import (
    BRIGHT,
    CLASSES,
    assert_boxes_follow_pixels,
    assert_same,
    bright_box,
    copies,
    drawn_batch,
    objects_of,
    put_objects,
    random_batch,
)  # fmt: skip
from tests.refusals import assert_refused

HEIGHT, WIDTH = 16, 24
FINE = 8  # parts of a pixel on the grid on which the host draws boxes
compiled = jax.jit(functools.partial(pasted, num_classes=CLASSES), static_argnames="visible")
compiled_transform = jax.jit(transform, static_argnames=("num_classes", "visible"))


def on_the_grid(batch: Batch) -> Batch:
    """The batch with the edges of its boxes on the host's grid."""
    scale = np.float32([WIDTH, HEIGHT, WIDTH, HEIGHT]) * FINE
    return batch._replace(boxes_bxnx4=(np.round(batch.boxes_bxnx4 * scale) / scale).astype(np.float32))


def visible_part(box: np.ndarray, rectangle: np.ndarray) -> tuple[np.ndarray | None, float]:
    """The box around what a rectangle, in pixels, leaves of a drawn box, and its share of the area."""
    x0, y0, x1, y1 = np.round(box * np.array([WIDTH, HEIGHT, WIDTH, HEIGHT]) * FINE).astype(int)
    canvas = np.zeros((HEIGHT * FINE, WIDTH * FINE))
    canvas[y0:y1, x0:x1] = 1
    whole = canvas.sum()
    hole = rectangle * FINE
    canvas[hole[1] : hole[3], hole[0] : hole[2]] = 0
    left = bright_box(canvas, 0.5)
    return None if left is None else left / (np.array([WIDTH, HEIGHT, WIDTH, HEIGHT]) * FINE), canvas.sum() / whole


def pasted_on_the_host(batch: Batch, partner_b: np.ndarray, rectangle_bx4: np.ndarray, visible: float) -> dict[str, np.ndarray]:
    fields = copies(batch)
    soft = fields["soft_label_bxk"].copy()
    for i, (j, rectangle) in enumerate(zip(partner_b, rectangle_bx4, strict=True)):
        x0, y0, x1, y1 = rectangle
        fields["images_bxhxwxc"][i, y0:y1, x0:x1] = batch.images_bxhxwxc[j, y0:y1, x0:x1]
        share = (x1 - x0) * (y1 - y0) / (HEIGHT * WIDTH)
        fields["soft_label_bxk"][i] = (1 - share) * soft[i] + share * soft[j]
        fields["label_b"][i] = batch.label_b[j if share > 0.5 else i]
        kept = []
        for box, label in zip(*objects_of(batch, i), strict=True):
            left, part = visible_part(box, rectangle)
            kept += [(left, label)] if left is not None and part >= visible else []
        if share > 0:
            window = rectangle / np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
            boxes, labels = objects_of(batch, j)
            clipped, inside = boxes_in_window(boxes, tuple(window), visible)
            moved = clipped * np.tile(window[2:] - window[:2], 2) + np.tile(window[:2], 2)
            kept += list(zip(moved[inside], labels[inside], strict=True))
        put_objects(fields, i, [box for box, _ in kept], [label for _, label in kept], fields["label_b"][i])
        own, other = batch.content_bx4[i], batch.content_bx4[j]
        fields["content_bx4"][i] = [*np.minimum(own[:2], other[:2]), *np.maximum(own[2:], other[2:])]
    return fields


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3123]), st.sampled_from(["stretch", "letterbox"]))
def test_the_host_gives_the_same_batch(seed: int, visible: float, resize: str) -> None:
    rng = np.random.default_rng(seed)
    batch = on_the_grid(random_batch(seed, shape=(HEIGHT, WIDTH, 3), size=5, objects=4, resize=resize))
    edges = np.sort(rng.integers(0, [[WIDTH + 1], [HEIGHT + 1]], (5, 2, 2)), axis=2)  # of x and y; some rectangles are empty
    rectangle_bx4 = edges.transpose(0, 2, 1).reshape(5, 4).astype(np.int32)
    partner_b = rng.permutation(5)
    result = compiled(batch, partner_b, rectangle_bx4, visible=visible)
    assert_same(result, pasted_on_the_host(batch, partner_b, rectangle_bx4, visible))


@given(st.integers(0, 10_000))
def test_boxes_of_both_images_are_where_their_objects_are(seed: int) -> None:
    batch = drawn_batch(seed)
    result = compiled_transform(batch, jax.random.key(seed), num_classes=batch.images_bxhxwxc.shape[-1], visible=0.0)
    count = assert_boxes_follow_pixels(result)
    assert count == (np.asarray(result.images_bxhxwxc) == BRIGHT).any(axis=(1, 2)).sum(), "an object without its box"


def test_the_share_of_an_image_that_is_pasted_is_that_of_its_soft_label() -> None:
    size, side = 2000, 32
    images = np.broadcast_to((255 * (np.arange(size) % 2)).astype(np.uint8)[:, None, None, None], (size, side, side, 1))
    batch = jax.tree.map(lambda a: np.repeat(a, size, axis=0), random_batch(0, valid=1, size=1))
    batch = batch._replace(images_bxhxwxc=images, label_b=(np.arange(size) % 2).astype(np.int32))
    result = compiled_transform(batch, jax.random.key(0), num_classes=2)
    share = (np.asarray(result.images_bxhxwxc) == 255).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(np.asarray(result.soft_label_bxk)[:, 1], share, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(result.label_b)[share != 0.5], (share > 0.5)[share != 0.5])
    # Of a rectangle with sides s and a uniform center, (s - s^2 / 4)^2 is inside on average, and s^2 is uniform.
    s = np.sqrt(np.linspace(0, 1, 10_001))
    mean = ((s - s**2 / 4) ** 2).mean() / 2  # half of the images meet one of the other color
    assert abs(share[::2].mean() - mean) < 0.02


@pytest.mark.parametrize("option", ["probability", "visible"])
def test_a_share_outside_0_to_1_raises(option: str) -> None:
    key = f"data.batch_transforms.cutmix.{option} must be from 0 to 1, got -0.5"
    assert_refused(lambda: transform(random_batch(0), jax.random.key(0), num_classes=CLASSES, **{option: -0.5}), key)
