"""What a model sees: squashed or letterboxed, and boxes that follow, there and back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from imgloc.data.batches.collate import WHOLE, collate, resized_example
from imgloc.inference import predict
from imgloc.types import Batch, Example, InputSpec

BOX = np.array([[0.25, 0.5, 0.75, 1.0]], np.float32)


def example(height: int, width: int) -> Example:
    """Black, with a white rectangle in BOX."""
    image = np.zeros((height, width, 1), np.uint8)
    image[height // 2 :, width // 4 : 3 * width // 4] = 255
    return Example(image, BOX, np.array([1], np.int32), 1, "a", "a")


def of_the_image(box: np.ndarray, batch: Batch) -> np.ndarray:
    found: np.ndarray = predict._of_the_image({"box": box}, batch)["box"]
    return found


def bright_box(image_hxwxc: np.ndarray) -> np.ndarray:
    height, width = image_hxwxc.shape[:2]
    rows, columns = (np.flatnonzero((image_hxwxc[..., 0] > 127).any(axis=axis)) for axis in (1, 0))
    return np.array([columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height])


@pytest.mark.parametrize("size", [(40, 80), (80, 40), (64, 64), (30, 31)])
@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_boxes_follow_what_is_shown_and_come_back(size: tuple[int, int], fit: str) -> None:
    view = InputSpec((32, 32, 1), 2, fit)
    batch = collate([example(*size)], 2, view)
    np.testing.assert_allclose(bright_box(batch.images_bxhxwxc[0]), batch.boxes_bxnx4[0, 0], atol=1.01 / 32)
    np.testing.assert_allclose(of_the_image(batch.boxes_bxnx4[:, 0], batch)[0], BOX[0], atol=1e-6)
    assert not batch.boxes_bxnx4[0, 1].any()
    truth = collate([example(*size)], 2, view, truth_in_view=False)
    np.testing.assert_array_equal(truth.boxes_bxnx4[0, 0], BOX[0])
    if fit == "letterbox" and size[0] != size[1]:
        assert (batch.content_bx4[0] != WHOLE).any()
        assert np.abs(batch.boxes_bxnx4[0, 0] - BOX[0]).max() > (0.1 if 2 * min(size) == max(size) else 0.0)
    else:
        np.testing.assert_array_equal(batch.content_bx4[0], WHOLE)


def test_what_is_seen_whole_keeps_the_bits_of_its_boxes() -> None:
    batch = collate([example(40, 80)], 1, InputSpec((32, 32, 1)))
    beyond = np.array([[-0.1, 0.3, 1.2, 0.9]], np.float32)
    assert of_the_image(beyond, batch) is beyond
    beside = collate([example(32, 32), example(40, 80)], 3, InputSpec((32, 32, 1), resize="letterbox"))
    found = of_the_image(np.repeat(beyond, 3, axis=0), beside)
    np.testing.assert_array_equal(found[[0, 2]], beyond.repeat(2, axis=0), "whatever else is in the batch")
    assert found[1].min() >= 0
    assert found.dtype == np.float32


def test_windows_come_back_too_and_keep_their_centres_beyond_the_image() -> None:
    batch = collate([example(32, 32), example(40, 80)], 3, InputSpec((32, 32, 1), resize="letterbox"))
    looks = np.array([[0.5, 0.5, 0.75, 0.75], [-0.25, 0, 0.25, 0.25]], np.float32)  # the image fills rows 1/4 to 3/4
    given = {"logits": np.zeros((3, 2)), "box": looks[None, 1].repeat(3, axis=0), "looks": looks[None].repeat(3, axis=0)}
    found = predict._of_the_image(given, batch)
    np.testing.assert_array_equal(found["looks"][[0, 2]], given["looks"][[0, 2]])
    np.testing.assert_allclose(found["looks"][1], [[0.5, 0.5, 0.75, 1.0], [-0.25, -0.5, 0.25, 0.0]], atol=1e-6)
    np.testing.assert_allclose(found["box"][1], [0, 0, 0.25, 0], atol=1e-6, err_msg="a box ends with the image")
    assert found["looks"].dtype == np.float32
    assert found["logits"] is given["logits"]


def test_a_grey_image_is_seen_in_three_channels_where_the_view_has_them() -> None:
    grey = example(32, 32)
    colour = dataclasses.replace(grey, image_hxwxc=np.repeat(grey.image_hxwxc, 3, axis=2))
    np.testing.assert_array_equal(resized_example(grey, InputSpec((32, 32, 3)))[0].image_hxwxc, colour.image_hxwxc)
    assert resized_example(colour, InputSpec((16, 16, 1)))[0].image_hxwxc.shape == (16, 16, 1)


def test_the_images_own_class_comes_first_then_the_largest() -> None:
    boxes = np.array([[0, 0, 0.9, 0.9], [0, 0, 0.2, 0.2], [0, 0, 0.5, 0.5]], np.float32)
    mixed = Example(np.zeros((8, 8, 1), np.uint8), boxes, np.array([3, 1, 1], np.int32), 1, "a", "a")
    batch = collate([mixed, dataclasses.replace(mixed, label=7)], 2, InputSpec((8, 8, 1), 3))
    assert batch.labels_bxn.tolist() == [[1, 1, 3], [3, 1, 1]]
    np.testing.assert_array_equal(batch.boxes_bxnx4[0, :, 2], np.array([0.5, 0.2, 0.9], np.float32))
    np.testing.assert_array_equal(batch.boxes_bxnx4[1, :, 2], np.array([0.9, 0.5, 0.2], np.float32))
