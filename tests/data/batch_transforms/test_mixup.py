"""mixup on the device against a loop over images in NumPy."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc.data.batch_transforms.mixup import mixed, transform
from imgloc.types import Batch
from tests.drawn_batches import (
    BRIGHT,
    CLASSES,
    assert_boxes_follow_pixels,
    assert_same,
    copies,
    drawn_batch,
    objects_of,
    put_objects,
    random_batch,
)
from tests.refusals import assert_refused

compiled = jax.jit(functools.partial(mixed, num_classes=CLASSES), static_argnames="visible")
compiled_transform = jax.jit(transform, static_argnames=("num_classes", "alpha", "visible"))


def mixed_on_the_host(batch: Batch, partner_b: np.ndarray, weight_b: np.ndarray, visible: float) -> dict[str, np.ndarray]:
    fields = copies(batch)
    soft = fields["soft_label_bxk"].copy()
    for i, (j, weight) in enumerate(zip(partner_b, weight_b / 256, strict=True)):
        mean = weight * batch.images_bxhxwxc[i] + (1 - weight) * batch.images_bxhxwxc[j]
        fields["images_bxhxwxc"][i] = np.floor(mean + 0.5)
        fields["soft_label_bxk"][i] = weight * soft[i] + (1 - weight) * soft[j]
        fields["label_b"][i] = batch.label_b[i if weight >= 0.5 else j]
        kept = [objects_of(batch, k) for k, share in ((i, weight), (j, 1 - weight)) if share > 0 and share >= visible]
        boxes, labels = (np.concatenate(parts) for parts in zip(*kept, strict=True))
        put_objects(fields, i, boxes, labels, fields["label_b"][i])
        own, other = batch.content_bx4[i], batch.content_bx4[j]
        fields["content_bx4"][i] = [*np.minimum(own[:2], other[:2]), *np.maximum(own[2:], other[2:])]
    return fields


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.2]), st.sampled_from(["stretch", "letterbox"]), st.booleans())
def test_the_host_gives_the_same_batch(seed: int, visible: float, resize: str, soft: bool) -> None:
    rng = np.random.default_rng(seed)
    batch = random_batch(seed, size=5, resize=resize)
    if soft:
        batch = batch._replace(soft_label_bxk=rng.dirichlet(np.ones(CLASSES), 5).astype(np.float32))
    partner_b, weight_b = rng.permutation(5), rng.choice([0, 3, 100, 128, 200, 256], 5).astype(np.int32)
    result = compiled(batch, partner_b, weight_b, visible=visible)
    assert_same(result, mixed_on_the_host(batch, partner_b, weight_b, visible))


@given(st.integers(0, 10_000))
def test_boxes_of_both_images_are_where_their_objects_are(seed: int) -> None:
    batch = drawn_batch(seed)
    classes = batch.images_bxhxwxc.shape[-1]
    result = compiled_transform(batch, jax.random.key(seed), num_classes=classes, alpha=1.0, visible=0.1)
    faint = BRIGHT * 0.1 - 0.5
    count = assert_boxes_follow_pixels(result, threshold=faint)
    bright = (np.asarray(result.images_bxhxwxc) >= faint).any(axis=(1, 2)).sum()
    assert count == bright, "an object without its box"


def test_weights_are_those_of_the_beta_distribution_and_the_label_is_that_of_the_larger() -> None:
    size = 4000
    images = np.where(np.arange(size) % 2, 255, 0).astype(np.uint8)[:, None, None, None] * np.ones((1, 1, 1, 1), np.uint8)
    batch = random_batch(0, valid=1, size=1)
    batch = jax.tree.map(lambda a: np.repeat(a, size, axis=0), batch)._replace(images_bxhxwxc=images)
    batch = batch._replace(label_b=(images[:, 0, 0, 0] > 0).astype(np.int32))
    for alpha in (0.2, 1.0, 8.0):
        result = compiled_transform(batch, jax.random.key(0), num_classes=2, alpha=alpha)
        soft = np.asarray(result.soft_label_bxk)[:, 1]
        np.testing.assert_allclose(np.asarray(result.images_bxhxwxc)[:, 0, 0, 0], 255 * soft, atol=0.51)
        clear = np.abs(soft - 0.5) > 1e-6
        np.testing.assert_array_equal(np.asarray(result.label_b)[clear], (soft > 0.5)[clear])
        met = batch.label_b == 1  # half of these meet an image of label 0
        spread = np.sqrt(0.5 * (1 - soft[met]) @ (1 - soft[met]) / met.sum() * 2)
        second_moment = 0.5 * (0.25 + 0.25 / (2 * alpha + 1))  # of 1 - weight, half of the time
        assert abs(spread**2 - second_moment) < 0.03


@pytest.mark.parametrize("option", ["probability", "visible"])
def test_a_share_outside_0_to_1_raises(option: str) -> None:
    key = f"data.batch_transforms.mixup.{option} must be from 0 to 1, got 1.5"
    assert_refused(lambda: transform(random_batch(0), jax.random.key(0), num_classes=CLASSES, **{option: 1.5}), key)


def test_an_alpha_of_zero_raises() -> None:
    assert_refused(
        lambda: transform(random_batch(0), jax.random.key(0), num_classes=CLASSES, alpha=0.0),
        "data.batch_transforms.mixup.alpha must be from 0.01 to 100, got 0.0",
    )
