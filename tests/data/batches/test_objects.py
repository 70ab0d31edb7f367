"""Objects on the device against collation and windows on the host."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imgloc.data.batches import objects as device
from imgloc.data.transforms import window
from imgloc.types import Example
from tests.drawn_batches import CLASSES, objects_of, put_objects, random_batch, random_boxes


@given(st.integers(0, 10_000), st.integers(1, 9), st.booleans())
def test_the_kept_objects_are_those_of_collation_in_its_order(seed: int, count: int, equal: bool) -> None:
    rng = np.random.default_rng(seed)
    b, m = 4, 7
    boxes = random_boxes(rng, b * m).reshape(b, m, 4)
    if equal:  # the same sides at other places, so that areas differ by rounding alone
        boxes[..., 2:] = boxes[..., :2] + rng.choice(np.float32([0.1, 0.3]), (b, m, 1))
    labels = rng.integers(0, CLASSES, (b, m)).astype(np.int32)
    mask, label = rng.random((b, m)) < 0.7, rng.integers(0, CLASSES, b).astype(np.int32)
    expected = {
        "boxes_bxnx4": np.zeros((b, count, 4), np.float32), "labels_bxn": np.zeros((b, count), np.int32),
        "object_mask_bxn": np.zeros((b, count), bool),
    }  # fmt: skip
    for i in range(b):
        put_objects(expected, i, boxes[i, mask[i]], labels[i, mask[i]], label[i])
    parts = [device.Objects(boxes[:, s], labels[:, s], mask[:, s]) for s in (slice(0, 3), slice(3, m))]
    result = jax.jit(device.keep_objects, static_argnums=2)(parts, label, count)
    width = min(count, m)
    for name, array in expected.items():
        np.testing.assert_array_equal(getattr(result, name), array[:, :width], err_msg=name)
        assert not array[:, width:].any()


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 1.0]))
def test_boxes_in_a_window_are_those_of_the_host(seed: int, visible: float) -> None:
    rng = np.random.default_rng(seed)
    boxes, frame = random_boxes(rng, 20), random_boxes(rng, 1)[0]
    boxes[0] = frame  # as large as the window: wholly visible
    clipped, kept = device.boxes_in_window(boxes, frame, visible)
    expected, expected_kept = window.boxes_in_window(boxes, tuple(frame.astype(float)), visible)
    assert kept[0]
    np.testing.assert_array_equal(kept, expected_kept)
    np.testing.assert_allclose(np.asarray(clipped)[expected_kept], expected[expected_kept], rtol=0, atol=1e-6)


@given(st.integers(0, 10_000))
def test_an_image_keeps_an_object_where_the_host_says_so(seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch = random_batch(seed)
    kept = rng.random((2, *batch.labels_bxn.shape)) < 0.5
    result = device.keeps_object(device.objects_of(batch), jnp.asarray(batch.label_b), kept)
    for t, i in np.ndindex(2, len(batch.label_b)):
        boxes, labels = objects_of(batch, i)
        example = Example(batch.images_bxhxwxc[i], boxes, labels, int(batch.label_b[i]), "", "")
        assert result[t, i] == window.keeps_object(example, kept[t, i, batch.object_mask_bxn[i]])
