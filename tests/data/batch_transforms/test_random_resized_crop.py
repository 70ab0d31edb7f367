"""Crops on the device against those of the host, which OpenCV resamples."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc.data.batch_transforms.random_resized_crop import cropped, transform
from imgloc.data.batches.rectangles import content_rectangles
from imgloc.data.transforms.pixels import resize_image
from imgloc.data.transforms.window import boxes_in_window
from imgloc.types import Batch
from tests.drawn_batches import (
    assert_boxes_follow_pixels,
    assert_identical,
    assert_same,
    copies,
    drawn_batch,
    objects_of,
    put_objects,
    random_batch,
)
from tests.refusals import assert_refused

HEIGHT, WIDTH = 16, 24
SIDES = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
compiled = jax.jit(cropped, static_argnames="visible")
compiled_transform = jax.jit(transform, static_argnames=("probability", "area", "aspect", "visible", "keep"))


def cropped_on_the_host(batch: Batch, windows: np.ndarray, visible: float) -> dict[str, np.ndarray]:
    fields = copies(batch)
    del fields["soft_label_bxk"]
    for i, (window, content) in enumerate(zip(windows, np.asarray(content_rectangles(batch)), strict=True)):
        x0, y0, x1, y1 = content
        part = batch.images_bxhxwxc[i, window[1] : window[3], window[0] : window[2]]
        fields["images_bxhxwxc"][i, y0:y1, x0:x1] = resize_image(part, y1 - y0, x1 - x0)
        boxes, labels = objects_of(batch, i)
        clipped, inside = boxes_in_window(boxes, tuple(window / SIDES), visible)
        moved = clipped * np.tile((content[2:] - content[:2]) / SIDES[:2], 2) + np.tile(content[:2] / SIDES[:2], 2)
        put_objects(fields, i, moved[inside], labels[inside], batch.label_b[i])
    return fields


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3]), st.sampled_from(["stretch", "letterbox"]))
def test_the_host_gives_the_same_batch_within_one_gray_level(seed: int, visible: float, resize: str) -> None:
    rng = np.random.default_rng(seed)
    batch = random_batch(seed, shape=(HEIGHT, WIDTH, 3), size=5, resize=resize)
    low, high = np.split(np.asarray(content_rectangles(batch)), 2, axis=1)
    size = rng.integers(1, high - low + 1)
    start = low + rng.integers(0, high - low - size + 1)
    windows = np.concatenate([start, start + size], axis=1).astype(np.int32)
    assert_same(compiled(batch, windows, visible=visible), cropped_on_the_host(batch, windows, visible), levels=1)


@given(st.integers(0, 10_000))
def test_boxes_are_where_their_objects_are(seed: int) -> None:
    batch = drawn_batch(seed)
    assert_boxes_follow_pixels(compiled_transform(batch, jax.random.key(seed), visible=0.3), within=1.0)
    everything = compiled_transform(batch, jax.random.key(seed), visible=0.0, keep=False)
    clear = (np.asarray(everything.images_bxhxwxc) >= 200).sum(axis=(1, 2)) > 4  # not only a blurred edge
    assert np.asarray(everything.object_mask_bxn).sum() >= clear.sum(), "an object without its box"


def test_the_whole_image_is_unchanged() -> None:
    batch = random_batch(0, resize="letterbox")
    clean = batch._replace(boxes_bxnx4=np.where(batch.object_mask_bxn[..., None], batch.boxes_bxnx4, 0))
    result = compiled_transform(clean, jax.random.key(0), area=(1.0, 1.0), aspect=(0.9, 0.9))  # no such crop fits
    for name, array in clean._asdict().items():
        if array is not None:
            np.testing.assert_allclose(np.asarray(getattr(result, name)), array, rtol=0, atol=1e-6, err_msg=name)


def ramps(size: int, side: int) -> Batch:
    """Images whose channels are the column and the row of each pixel, without objects."""
    pixels = np.stack(np.meshgrid(*[3 * np.arange(side)] * 2), axis=-1).astype(np.uint8)
    batch = jax.tree.map(lambda a: np.repeat(a, size, axis=0), random_batch(0, valid=1, size=1))
    return batch._replace(images_bxhxwxc=np.repeat(pixels[None], size, axis=0))


def test_areas_and_aspects_are_uniform_in_their_ranges_as_on_the_host() -> None:
    side = 80
    images = np.asarray(compiled_transform(ramps(1000, side), jax.random.key(0), area=(0.2, 0.5)).images_bxhxwxc).astype(float) / 3
    width, height = (images[:, -1, -1, axis] - images[:, 0, 0, axis] + 1 for axis in (0, 1))
    area, aspect = width * height / side**2, width / height
    assert 0.18 < area.min() < 0.22
    assert 0.48 < area.max() < 0.52
    assert abs(area.mean() - 0.35) < 0.01
    assert 0.72 < aspect.min() < 0.78
    assert 1.28 < aspect.max() < 1.38
    assert abs(np.log(aspect).mean()) < 0.03
    places = images[:, 0, 0] / (side - np.stack([width, height], axis=1))
    np.testing.assert_allclose(places.mean(axis=0), 0.5, atol=0.04)


def test_a_crop_keeps_an_object_of_the_image_unless_no_draw_does() -> None:
    image = np.zeros((40, 40, 1), np.uint8)
    batch = jax.tree.map(lambda a: np.repeat(a, 300, axis=0), random_batch(0, shape=(40, 40, 1), valid=1, size=1, objects=1))
    batch = batch._replace(
        images_bxhxwxc=np.repeat(image[None], 300, axis=0), object_mask_bxn=np.ones((300, 1), bool), labels_bxn=batch.label_b[:, None],
        boxes_bxnx4=np.tile(np.float32([0, 0, 0.2, 0.2]), (300, 1, 1)),
    )  # fmt: skip
    results = [compiled_transform(batch, jax.random.key(0), area=(0.3, 0.4), keep=keep) for keep in (True, False)]
    kept, lost = (np.asarray(result.object_mask_bxn).mean() for result in results)
    assert kept > 0.99
    assert lost < 0.5
    none = batch._replace(boxes_bxnx4=np.tile(np.float32([0, 0, 1, 1]), (300, 1, 1)))
    assert_identical(compiled_transform(none, jax.random.key(0), area=(0.1, 0.2)), none)  # no crop shows 30 % of it


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("probability", -1, "must be from 0 to 1, got -1"),
        ("visible", True, "must be from 0 to 1, got True"),
        ("area", (0.0, 1.0), "must be two numbers from 0.0001 to 1, the smaller one first, got (0.0, 1.0)"),
        ("aspect", 1.0, "must be two numbers from 0.1 to 10, the smaller one first, got 1.0"),
    ],
)
def test_options_out_of_range_raise(option: str, value: object, expected: str) -> None:
    assert_refused(
        lambda: transform(random_batch(0), jax.random.key(0), **{option: value}),
        f"data.batch_transforms.random_resized_crop.{option} {expected}",
    )  # fmt: skip
