"""Model inputs, stretched or letterboxed: boxes follow the pixels and are mapped back to the image."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgloc.data.batches.collate import WHOLE_IMAGE, collate, ordered_truth, resize_example
from imgloc.tasks import localize
from imgloc.types import Batch, Example, InputSpec

BOX = np.array([[0.25, 0.5, 0.75, 1.0]], np.float32)


def example(height: int, width: int) -> Example:
    """A black image with a white rectangle in BOX."""
    image = np.zeros((height, width, 1), np.uint8)
    image[height // 2 :, width // 4 : 3 * width // 4] = 255
    return Example(image, BOX, np.array([1], np.int32), 1, "a", "a")


def to_image(batch: Batch, **outputs: np.ndarray) -> dict[str, Any]:
    """Outputs on the model input as predictions on the image; padding has no content box."""
    content_bx4 = np.where(batch.example_mask_b[:, None], batch.content_bx4, WHOLE_IMAGE)
    return localize.postprocess({"logits": np.zeros((len(content_bx4), 2)), **outputs}, content_bx4)


def bright_box(image_hxwxc: np.ndarray) -> np.ndarray:
    height, width = image_hxwxc.shape[:2]
    rows, columns = (np.flatnonzero((image_hxwxc[..., 0] > 127).any(axis=axis)) for axis in (1, 0))
    return np.array([columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height])


@pytest.mark.parametrize("size", [(40, 80), (80, 40), (64, 64), (30, 31)])
@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_boxes_follow_pixels_and_are_mapped_back(size: tuple[int, int], mode: str) -> None:
    spec = InputSpec((32, 32, 1), 2, mode)
    batch = collate([example(*size)], 2, spec)
    np.testing.assert_allclose(bright_box(batch.images_bxhxwxc[0]), batch.boxes_bxnx4[0, 0], atol=1.01 / 32)
    np.testing.assert_allclose(to_image(batch, box=batch.boxes_bxnx4[:, 0])["box"][0], BOX[0], atol=1e-6)
    assert not batch.boxes_bxnx4[0, 1].any()
    truth = collate([example(*size)], 2, spec, truth_in_input=False)
    np.testing.assert_array_equal(truth.boxes_bxnx4[0, 0], BOX[0])
    if mode == "letterbox" and size[0] != size[1]:
        assert (batch.content_bx4[0] != WHOLE_IMAGE).any()
        assert np.abs(batch.boxes_bxnx4[0, 0] - BOX[0]).max() > (0.1 if 2 * min(size) == max(size) else 0.0)
    else:
        np.testing.assert_array_equal(batch.content_bx4[0], WHOLE_IMAGE)


def test_boxes_on_a_stretched_image_keep_their_bits() -> None:
    batch = collate([example(40, 80)], 1, InputSpec((32, 32, 1)))
    beyond = np.array([[-0.1, 0.3, 1.2, 0.9]], np.float32)
    np.testing.assert_array_equal(to_image(batch, box=beyond)["box"], beyond)
    mixed_batch = collate([example(32, 32), example(40, 80)], 3, InputSpec((32, 32, 1), resize="letterbox"))
    mapped = to_image(mixed_batch, box=np.repeat(beyond, 3, axis=0))["box"]
    np.testing.assert_array_equal(mapped[[0, 2]], beyond.repeat(2, axis=0), "also mixed_batch a letterboxed image")
    assert mapped[1].min() >= 0
    assert mapped.dtype == np.float32


def test_fixations_are_mapped_back_and_keep_their_centers_beyond_the_image() -> None:
    batch = collate([example(32, 32), example(40, 80)], 3, InputSpec((32, 32, 1), resize="letterbox"))
    windows = np.array([[0.5, 0.5, 0.75, 0.75], [-0.25, 0, 0.25, 0.25]], np.float32)  # the image fills rows 1/4 to 3/4
    fixations_bxgx4 = windows[None].repeat(3, axis=0)
    mapped = to_image(batch, box=windows[None, 1].repeat(3, axis=0), fixations=fixations_bxgx4)
    np.testing.assert_array_equal(mapped["fixations"][[0, 2]], fixations_bxgx4[[0, 2]])
    np.testing.assert_allclose(mapped["fixations"][1], [[0.5, 0.5, 0.75, 1.0], [-0.25, -0.5, 0.25, 0.0]], atol=1e-6)
    np.testing.assert_allclose(mapped["box"][1], [0, 0, 0.25, 0], atol=1e-6, err_msg="boxes are clipped to the image")
    assert mapped["fixations"].dtype == np.float32


def test_channels_are_converted_to_those_of_the_input() -> None:
    gray = example(32, 32)
    color = dataclasses.replace(gray, image_hxwxc=np.repeat(gray.image_hxwxc, 3, axis=2))
    np.testing.assert_array_equal(resize_example(gray, InputSpec((32, 32, 3)))[0].image_hxwxc, color.image_hxwxc)
    assert resize_example(color, InputSpec((16, 16, 1)))[0].image_hxwxc.shape == (16, 16, 1)


def test_objects_of_the_images_own_class_come_first_then_larger_ones() -> None:
    boxes = np.array([[0, 0, 0.9, 0.9], [0, 0, 0.2, 0.2], [0, 0, 0.5, 0.5]], np.float32)
    mixed = Example(np.zeros((8, 8, 1), np.uint8), boxes, np.array([3, 1, 1], np.int32), 1, "a", "a")
    batch = collate([mixed, dataclasses.replace(mixed, label=7)], 2, InputSpec((8, 8, 1), 3))
    assert batch.labels_bxn.tolist() == [[1, 1, 3], [3, 1, 1]]
    np.testing.assert_array_equal(batch.boxes_bxnx4[0, :, 2], np.array([0.5, 0.2, 0.9], np.float32))
    np.testing.assert_array_equal(batch.boxes_bxnx4[1, :, 2], np.array([0.9, 0.5, 0.2], np.float32))


@given(st.permutations(range(4)), st.lists(st.booleans(), min_size=4, max_size=4))
def test_the_truth_of_a_row_keeps_flags_with_their_objects_and_the_size_of_the_stored_picture(order: list[int], flags: list[bool]) -> None:
    sides = np.array([0.1, 0.2, 0.3, 0.4], np.float32)[order]
    boxes_nx4 = np.stack([np.zeros(4), np.zeros(4), sides, sides], axis=1).astype(np.float32)
    crowd = np.array([[0.5, 0.5, 1, 1]], np.float32)
    reduced = Example(
        np.zeros((8, 16, 1), np.uint8), boxes_nx4, np.array(order, np.int32), 0, "a", "a", difficult_n=np.array(flags)[order],
        crowd_boxes_mx4=crowd, crowd_labels_m=np.array([2], np.int32), upright_size=(64, 32),
    )  # fmt: skip
    truth = ordered_truth(reduced)
    assert truth.labels_n.tolist() == [0, 3, 2, 1], "the image's own class, then by size"
    assert truth.difficult_n is not None
    assert truth.difficult_n.tolist() == [flags[label] for label in (0, 3, 2, 1)]
    assert (truth.width, truth.height) == (64, 32)
    assert (truth.crowd_boxes_mx4.tolist(), truth.crowd_labels_m.tolist()) == (crowd.tolist(), [2])
    whole = ordered_truth(example(8, 16))
    assert (whole.width, whole.height, whole.difficult_n, len(whole.crowd_labels_m)) == (16, 8, None, 0)
