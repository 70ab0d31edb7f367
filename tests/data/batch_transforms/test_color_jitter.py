"""Color changes on the device against those of the host, which are OpenCV's."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc.data.batch_transforms.color_jitter import adjust_color, transform
from imgloc.data.batches.rectangles import content_rectangles
from imgloc.data.transforms import color
from tests.drawn_batches import assert_identical, assert_same, copies, random_batch
from tests.refusals import assert_refused

compiled = jax.jit(adjust_color)
compiled_transform = jax.jit(transform, static_argnames=("probability", "brightness", "contrast", "saturation", "hue"))


@given(st.integers(0, 10_000), st.sampled_from([1, 3]), st.sampled_from(["stretch", "letterbox"]))
def test_the_host_gives_the_same_images_within_one_gray_level(seed: int, channels: int, resize: str) -> None:
    rng = np.random.default_rng(seed)
    batch = random_batch(seed, shape=(16, 24, channels), size=5, resize=resize)
    changes = rng.uniform([[0], [0], [0], [-0.5]], [[2], [2], [2], [0.5]], (4, 5)).astype(np.float32)
    changes[:, 0] = 1, 1, 1, 0
    fields = copies(batch)
    del fields["soft_label_bxk"]
    for i, (x0, y0, x1, y1) in enumerate(np.asarray(content_rectangles(batch))):
        brightness, contrast, saturation, hue = changes[:, i].astype(float)
        part = batch.images_bxhxwxc[i, y0:y1, x0:x1]
        adjusted = color.adjust_color(part, brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
        fields["images_bxhxwxc"][i, y0:y1, x0:x1] = adjusted
    result = compiled(batch, *changes)
    assert_same(result, fields, levels=1)
    np.testing.assert_array_equal(result.images_bxhxwxc[0], batch.images_bxhxwxc[0])


def test_each_image_has_changes_within_the_ranges() -> None:
    images = np.full((500, 4, 4, 3), 100, np.uint8)
    images[:, :2] = 50, 100, 60
    batch = jax.tree.map(lambda a: np.repeat(a, 500, axis=0), random_batch(0, valid=1, size=1))._replace(images_bxhxwxc=images)
    off = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    brighter = np.asarray(compiled_transform(batch, jax.random.key(0), **{**off, "brightness": 0.4}).images_bxhxwxc)[:, 3, 3, 0]
    assert 59 <= brighter.min() < 65
    assert 135 < brighter.max() <= 141
    assert abs(brighter.mean() - 100) < 4
    for name in ("contrast", "saturation", "hue"):
        changed = np.asarray(compiled_transform(batch, jax.random.key(0), **{**off, name: 0.3}).images_bxhxwxc)
        assert len(np.unique(changed[:, 0, 0], axis=0)) > 10, name
        luma = changed[:, :2].mean(axis=(1, 2)) @ color.LUMA
        assert (luma.std() > 1) == (name == "contrast"), name
    assert_identical(compiled_transform(batch, jax.random.key(0), **off), batch)


@pytest.mark.parametrize(("option", "largest"), [("probability", 1), ("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0.5)])
def test_options_out_of_range_raise(option: str, largest: float) -> None:
    assert_refused(
        lambda: transform(random_batch(0), jax.random.key(0), **{option: 1.5}),
        f"data.batch_transforms.color_jitter.{option} must be from 0 to {largest}, got 1.5",
    )  # fmt: skip
