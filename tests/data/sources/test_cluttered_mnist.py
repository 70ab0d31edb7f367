"""The source `cluttered_mnist`: places of digits, fragments and boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from imgloc.data.digits import load_digits
from imgloc.data.sources.cluttered_mnist import source
from tests.refusals import assert_refused


def test_without_clutter_a_canvas_contains_its_digit_with_a_tight_box() -> None:
    translated, digits = source("test", seed=0, clutter=0), load_digits("test")
    corners = []
    for index in range(60):
        example = translated[index]
        ink = np.argwhere(example.image_hxwxc[..., 0] >= 32)
        x0, y0, x1, y1 = example.boxes_nx4[0] * 60
        np.testing.assert_allclose([y0, x0, y1, x1], [*ink.min(axis=0), *(ink.max(axis=0) + 1)], atol=1e-4)
        places = [(y, x) for y in range(33) for x in range(33) if np.array_equal(
            example.image_hxwxc[y : y + 28, x : x + 28, 0], digits.images_nx28x28[index])]  # fmt: skip
        assert places
        assert example.image_hxwxc.sum(dtype=np.int64) == digits.images_nx28x28[index].sum(dtype=np.int64)
        corners.append(places[0])
    assert np.ptp(corners, axis=0).min() > 25, "places span the canvas"


def test_clutter_adds_the_expected_ink_and_is_clipped_to_white() -> None:
    """The mean number of inked pixels that fragments add is that of random crops of digits."""
    plain, digits = source("test", seed=0, clutter=0, canvas=100), load_digits("test")
    cluttered = source("test", seed=0, clutter=8, canvas=100)
    ink = [int(np.count_nonzero(cluttered[i].image_hxwxc)) - int(np.count_nonzero(plain[i].image_hxwxc)) for i in range(100)]
    # The mean number of inked pixels in an 8x8 crop at a uniform offset of a digit.
    inked = np.lib.stride_tricks.sliding_window_view(digits.images_nx28x28 > 0, (8, 8), axis=(1, 2)).sum(axis=(-1, -2)).mean()
    assert np.mean(ink) == pytest.approx(8 * inked, rel=0.15)  # fragments overlap sometimes
    assert cluttered[0].image_hxwxc.max() == 255


def test_training_uses_each_digit_once_per_epoch_on_new_canvases() -> None:
    train = source("train", seed=3)
    size = len(train.groups)
    first, again = ([train.digits.groups[i] for i in train._first_digits(np.arange(size) + epoch * size)] for epoch in range(2))
    assert [train[i].group for i in range(8)] == first[:8]
    assert sorted(first) == sorted(again) == sorted(train.groups)
    assert first != again
    where = [i + size for i, group in enumerate(again) if group == first[0]]
    assert not np.array_equal(train[0].image_hxwxc, train[where[0]].image_hxwxc)
    assert not np.array_equal(train[0].image_hxwxc, source("train", seed=4)[0].image_hxwxc)


def test_a_fraction_of_the_training_digits_has_boxes() -> None:
    size, some = len(source("train", seed=0).groups), source("train", seed=0, train_box_fraction=0.25)
    epochs = []
    for epoch in range(2):
        indices = np.arange(size) + epoch * size
        masks = [some.take(part).object_mask_bxn[:, 0] for part in np.split(indices, size // 400)]
        epochs.append({some.digits.groups[i] for i in some._first_digits(indices)[np.concatenate(masks)]})
    assert len(epochs[0]) == round(0.25 * size)
    assert epochs[0] == epochs[1], "the same digits in every epoch"
    assert len(source("test", seed=0, train_box_fraction=0.0)[0].boxes_nx4) == 1
    for share in (0.0, 0.25):
        part = source("train", seed=0, train_box_fraction=share)
        taken = part.take(np.arange(16))
        assert taken.object_mask_bxn.sum() == sum(len(part[i].boxes_nx4) for i in range(16))
        assert taken.boxes_bxnx4.shape == (16, int(share > 0), 4)


@pytest.mark.parametrize("option", [{"train_box_fraction": 1.5}, {"canvas": 27}, {"clutter": -1}, {"clutter_size": 29}, {"per_digit": 0}])
def test_options_out_of_range_raise(option: dict[str, Any]) -> None:
    assert_refused(lambda: source("train", seed=0, **option), f"data.options.{next(iter(option))}")


def test_the_class_of_a_pair_is_that_of_its_left_digit() -> None:
    pairs = source("test", seed=0, canvas=100, clutter=0, per_canvas=2)
    differences = 0
    for index in range(40):
        example = pairs[index]
        assert example.boxes_nx4.shape == (2, 4)
        assert example.label == example.labels_n[np.argmin(example.boxes_nx4[:, 0] + example.boxes_nx4[:, 2])]
        digit = pairs.digits.groups.index(example.group)
        differences += int(pairs.digits.labels_n[digit] != example.label)
    assert 5 < differences < 35
