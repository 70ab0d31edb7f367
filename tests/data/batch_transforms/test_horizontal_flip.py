"""Horizontal flips of batches against a NumPy oracle."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc.data.batch_transforms.horizontal_flip import transform
from imgloc.data.batches.collate import collate
from imgloc.types import Batch, Example, InputSpec
from tests.refusals import assert_refused


def make_batch(seed: int, *, size: int = 6, valid: int = 4, resize: str = "stretch") -> Batch:
    """Random wide images of which example i has i % 3 objects, with padding; absent objects have nonzero boxes."""
    rng = np.random.default_rng(seed)
    examples = []
    for i in range(valid):
        boxes_nx4 = np.sort(rng.random((i % 3, 2, 2)), axis=1).reshape(-1, 4).astype(np.float32)
        image = rng.integers(0, 256, (6, 10, 3), dtype=np.uint8)
        examples.append(Example(image, boxes_nx4, np.ones(i % 3, np.int32), 1, str(i), str(i)))
    batch = collate(examples, size, InputSpec((8, 8, 3), 3, resize))
    absent = rng.random(batch.boxes_bxnx4.shape).astype(np.float32)
    return batch._replace(boxes_bxnx4=np.where(batch.object_mask_bxn[..., None], batch.boxes_bxnx4, absent))


def flip_in_numpy(batch: Batch, i: int) -> Batch:
    """The batch with example i flipped: pixel column j comes from column w - 1 - j, and edge x moves to 1 - x."""
    images, boxes, content = (np.array(array) for array in (batch.images_bxhxwxc, batch.boxes_bxnx4, batch.content_bx4))
    width = images.shape[2]
    for j in range(width):
        images[i, :, j] = batch.images_bxhxwxc[i, :, width - 1 - j]
    for n in np.flatnonzero(batch.object_mask_bxn[i]):
        x0, y0, x1, y1 = batch.boxes_bxnx4[i, n]
        boxes[i, n] = [np.float32(1) - x1, y0, np.float32(1) - x0, y1]
    if batch.example_mask_b[i]:
        x0, y0, x1, y1 = batch.content_bx4[i]
        content[i] = [np.float32(1) - x1, y0, np.float32(1) - x0, y1]
    return batch._replace(images_bxhxwxc=images, boxes_bxnx4=boxes, content_bx4=content)


def assert_equal(result: Batch, expected: Batch, *, atol: float = 0.0) -> None:
    for name, array in expected._asdict().items():
        other = getattr(result, name)
        assert (array is None) == (other is None), name
        if array is not None:
            assert np.asarray(other).dtype == array.dtype, name
            np.testing.assert_allclose(np.asarray(other), array, rtol=0, atol=atol, err_msg=name)


@given(st.integers(0, 99), st.integers(0, 99), st.floats(0, 1), st.sampled_from(["stretch", "letterbox"]), st.booleans())
def test_each_example_is_unchanged_or_flipped_with_its_boxes(seed: int, key: int, probability: float, resize: str, jit: bool) -> None:
    batch = make_batch(seed, resize=resize)

    def flip(batch: Batch, key: jax.Array) -> Batch:
        return transform(batch, key, probability=probability)

    result = (jax.jit(flip) if jit else flip)(batch, jax.random.key(key))
    expected = batch
    for i in range(len(batch.label_b)):
        if not np.array_equal(np.asarray(result.images_bxhxwxc)[i], batch.images_bxhxwxc[i]):
            expected = flip_in_numpy(expected, i)
    assert_equal(result, expected)


@given(st.integers(0, 99), st.sampled_from(["stretch", "letterbox"]))
def test_probability_1_flips_every_example_and_twice_is_the_identity(seed: int, resize: str) -> None:
    batch = make_batch(seed, resize=resize)
    once = transform(batch, jax.random.key(seed), probability=1.0)
    expected = batch
    for i in range(len(batch.label_b)):
        expected = flip_in_numpy(expected, i)
    assert_equal(once, expected)
    assert_equal(transform(once, jax.random.key(seed + 1), probability=1.0), batch, atol=1e-6)


def test_probability_0_is_the_identity() -> None:
    batch = make_batch(0)
    assert_equal(transform(batch, jax.random.key(0), probability=0.0), batch)


def test_absent_objects_and_padding_do_not_change() -> None:
    batch = make_batch(0)
    result = transform(batch, jax.random.key(0), probability=1.0)
    absent = ~batch.object_mask_bxn
    assert absent[~batch.example_mask_b].all()
    np.testing.assert_array_equal(np.asarray(result.boxes_bxnx4)[absent], batch.boxes_bxnx4[absent])
    assert not np.asarray(result.images_bxhxwxc)[~batch.example_mask_b].any()
    assert not np.asarray(result.content_bx4)[~batch.example_mask_b].any()


def test_the_content_box_of_an_uneven_letterbox_is_flipped_with_its_image() -> None:
    white = Example(np.full((10, 5, 1), 255, np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int32), 0, "a", "a")
    batch = collate([white], 1, InputSpec((10, 8, 1), 1, "letterbox"))  # one column of padding on the left, two on the right
    np.testing.assert_array_equal(batch.content_bx4[0], np.array([1 / 8, 0, 6 / 8, 1], np.float32))
    result = transform(batch, jax.random.key(0), probability=1.0)
    np.testing.assert_array_equal(np.asarray(result.content_bx4)[0], np.array([2 / 8, 0, 7 / 8, 1], np.float32))
    np.testing.assert_array_equal(np.asarray(result.images_bxhxwxc)[0, 0, :, 0] > 0, [False, False, True, True, True, True, True, False])


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_the_share_of_flips_is_the_probability(probability: float) -> None:
    size = 4000
    images = np.tile(np.array([0, 1], np.uint8)[None, None, :, None], (size, 1, 1, 1))
    mask = np.ones(size, bool)
    batch = Batch(
        images, np.zeros((size, 1, 4), np.float32), np.zeros((size, 1), np.int32), mask[:, None], np.zeros(size, np.int32), mask,
        np.tile(np.array([0, 0, 1, 1], np.float32), (size, 1)),
    )  # fmt: skip
    result = transform(batch, jax.random.key(0), probability=probability)
    share = np.asarray(result.images_bxhxwxc)[:, 0, 0, 0].mean()
    assert abs(share - probability) < 4 * (probability * (1 - probability) / size) ** 0.5


def test_the_same_key_returns_the_same_bits_and_another_key_others() -> None:
    batch = make_batch(1, size=40, valid=40)
    first, again = (transform(batch, jax.random.key(3)) for _ in range(2))
    assert_equal(first, jax.tree.map(np.asarray, again))
    assert not np.array_equal(first.images_bxhxwxc, transform(batch, jax.random.key(4)).images_bxhxwxc)
    assert_equal(jax.jit(transform)(batch, jax.random.key(3)), jax.tree.map(np.asarray, first))


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_a_probability_outside_0_to_1_raises(probability: float) -> None:
    assert_refused(
        lambda: transform(make_batch(0), jax.random.key(0), probability=probability),
        "horizontal_flip.probability must be from 0 to 1", f"got {probability}",
    )  # fmt: skip
