"""Mosaics on the device against windows of images on the host, which OpenCV resamples."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc.data.batch_transforms.mosaic import tiled, transform
from imgloc.data.transforms.pixels import resize_image
from imgloc.data.transforms.window import boxes_in_window
from imgloc.types import Batch
from tests.drawn_batches import CLASSES, assert_boxes_follow_pixels, assert_same, copies, drawn_batch, objects_of, put_objects, random_batch
from tests.refusals import assert_refused

HEIGHT, WIDTH = 16, 24
SIDES = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
compiled = jax.jit(functools.partial(tiled, num_classes=CLASSES), static_argnames="visible")
compiled_transform = jax.jit(transform, static_argnames=("num_classes", "visible", "scale", "center"))


def tiles_around(x: int, y: int) -> np.ndarray:
    return np.array([[0, 0, x, y], [x, 0, WIDTH, y], [0, y, x, HEIGHT], [x, y, WIDTH, HEIGHT]])


def tiled_on_the_host(batch: Batch, index: np.ndarray, center: np.ndarray, windows: np.ndarray, visible: float) -> dict[str, np.ndarray]:
    fields = copies(batch)
    soft = fields["soft_label_bxk"].copy()
    for i in range(len(index)):
        tiles, kept = tiles_around(*center[i]), []
        areas = (tiles[:, 2] - tiles[:, 0]) * (tiles[:, 3] - tiles[:, 1])
        fields["soft_label_bxk"][i] = sum(area * soft[j] for area, j in zip(areas, index[i], strict=True)) / (HEIGHT * WIDTH)
        fields["label_b"][i] = batch.label_b[index[i, areas.argmax()]]
        for j, tile, pixels in zip(index[i], tiles, windows[i], strict=True):
            x0, y0, x1, y1 = tile
            part = batch.images_bxhxwxc[j, pixels[1] : pixels[3], pixels[0] : pixels[2]]
            fields["images_bxhxwxc"][i, y0:y1, x0:x1] = resize_image(part, y1 - y0, x1 - x0)
            boxes, labels = objects_of(batch, j)
            clipped, inside = boxes_in_window(boxes, tuple(pixels / SIDES), visible)
            place = tile / SIDES
            moved = clipped * np.tile(place[2:] - place[:2], 2) + np.tile(place[:2], 2)
            kept += list(zip(moved[inside], labels[inside], strict=True))
        put_objects(fields, i, [box for box, _ in kept], [label for _, label in kept], fields["label_b"][i])
        fields["content_bx4"][i] = [0, 0, 1, 1]
    return fields


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3]))
def test_the_host_gives_the_same_batch_within_one_gray_level(seed: int, visible: float) -> None:
    rng = np.random.default_rng(seed)
    batch = random_batch(seed, shape=(HEIGHT, WIDTH, 3), size=5)
    center = np.stack([rng.integers(1, WIDTH, 5), rng.integers(1, HEIGHT, 5)], axis=1).astype(np.int32)
    windows = np.zeros((5, 4, 4), np.int32)
    for i, t, axis in np.ndindex(5, 4, 2):
        side, tile = SIDES[axis], tiles_around(*center[i])[t]
        largest = min(side, 2 * (tile[2 + axis] - tile[axis]) - 1)  # the host averages areas from half the size on
        length = rng.integers(1, largest + 1)
        windows[i, t, axis] = rng.integers(side - length + 1)
        windows[i, t, 2 + axis] = windows[i, t, axis] + length
    index = rng.integers(0, 5, (5, 4)).astype(np.int32)
    result = compiled(batch, index, center, windows, visible=visible)
    assert_same(result, tiled_on_the_host(batch, index, center, windows, visible), levels=1)


@given(st.integers(0, 10_000))
def test_boxes_of_all_tiles_are_where_their_objects_are(seed: int) -> None:
    batch = drawn_batch(seed)
    result = compiled_transform(batch, jax.random.key(seed), num_classes=batch.images_bxhxwxc.shape[-1], visible=0.3)
    assert_boxes_follow_pixels(result, within=1.0)
    everything = compiled_transform(batch, jax.random.key(seed), num_classes=batch.images_bxhxwxc.shape[-1], visible=0.0)
    clear = (np.asarray(everything.images_bxhxwxc) >= 200).sum(axis=(1, 2)) > 4  # not only a blurred edge
    assert np.asarray(everything.object_mask_bxn).sum() >= clear.sum(), "an object without its box"


def test_tiles_have_the_drawn_scale_and_fill_the_image() -> None:
    side, size = 64, 24
    ramps = np.broadcast_to(np.stack(np.meshgrid(*[3 * np.arange(side)] * 2), axis=-1)[None] + 40, (size, side, side, 2)).astype(np.uint8)
    batch = jax.tree.map(lambda a: np.repeat(a, size, axis=0), random_batch(0, valid=1, size=1))._replace(images_bxhxwxc=ramps)
    result = compiled_transform(batch, jax.random.key(0), num_classes=CLASSES, scale=(0.8, 0.8), center=(0.5, 0.5))
    images = np.asarray(result.images_bxhxwxc).astype(float)
    assert images.min() >= 40, "no part is empty"
    for tile in (images[:, :32, :32], images[:, :32, 32:], images[:, 32:, :32], images[:, 32:, 32:]):
        for axis in (1, 2):  # a step of 3 levels a pixel is one of 3 / 0.8 at a scale of 0.8
            steps = np.diff(tile[..., 2 - axis], axis=axis).mean(axis=(1, 2))
            np.testing.assert_allclose(steps, 3 / 0.8, rtol=0.03)


def test_a_scale_that_leaves_a_tile_empty_is_raised() -> None:
    batch = random_batch(0, valid=5, size=5)._replace(images_bxhxwxc=np.full((5, 16, 24, 3), 9, np.uint8))
    result = compiled_transform(batch, jax.random.key(0), num_classes=CLASSES, scale=(0.5, 0.5), center=(0.0, 1.0))
    assert (np.asarray(result.images_bxhxwxc) == 9).all()


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("probability", 2, "must be from 0 to 1, got 2"),
        ("visible", "0.3", "must be from 0 to 1, got '0.3'"),
        ("scale", (0.2, 1.0), "must be two numbers from 0.5 to 2, the smaller one first, got (0.2, 1.0)"),
        ("center", (0.7, 0.3), "must be two numbers from 0 to 1, the smaller one first, got (0.7, 0.3)"),
    ],
)
def test_options_out_of_range_raise(option: str, value: object, expected: str) -> None:
    assert_refused(
        lambda: transform(random_batch(0), jax.random.key(0), num_classes=CLASSES, **{option: value}),
        f"data.batch_transforms.mosaic.{option} {expected}",
    )  # fmt: skip
