"""Scattered digits: the same bits each time, tight boxes, clutter of the same split, augmentation in training alone."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc.data.digits import Digits, load_digits
from imgloc.data.sources.scattered_digits import ENDLESS, INK, VERSION, ScatteredDigits, source
from imgloc.errors import UserError
from imgloc.types import Example
from tests.refusals import assert_refused

SPLITS = ("train", "validation", "test")
CLEAN = {"noise": 0.0, "clutter": 0, "contrast": (1.0, 1.0)}
AUGMENTED = {"train_rotate": 20.0, "train_stretch": 0.3, "train_shear": 0.2}
GOLDEN = {
    "train": "50b1219baf1d5ce3",
    "validation": "185c8da57703438e",
    "test": "a7f8ad047471c4d8",
}


def digest(examples: list[Example]) -> str:
    content = hashlib.sha256()
    for example in examples:
        content.update(example.image_hxwxc.tobytes() + example.boxes_nx4.tobytes() + bytes([example.label]))
        content.update(f"{example.id} {example.group}".encode())
    return content.hexdigest()[:16]


def same(a: Example, b: Example) -> bool:
    return digest([a]) == digest([b])


@pytest.mark.parametrize("split", SPLITS)
def test_the_first_canvases_keep_their_bits(split: str) -> None:
    canvases = source(split, seed=0)
    actual = digest([canvases[i] for i in range(8)])
    assert (actual, VERSION) == (GOLDEN[split], 1), (
        f"the bits of the first canvases of {split} have changed, so results on them cannot be compared. "
        f"If intended, raise VERSION in scattered_digits.py, note it in CHANGELOG.md, set GOLDEN['{split}'] to '{actual}' here. "
        "If nothing was changed, a new version of Pillow or NumPy is the cause."
    )


@pytest.mark.parametrize("split", SPLITS)
def test_the_same_bits_twice_and_after_pickling(split: str) -> None:
    first, again = source(split, seed=3), source(split, seed=3)
    copy = pickle.loads(pickle.dumps(first))
    for index in (0, 1, 17, 399):
        assert same(first[index], first[index])
        assert same(first[index], again[index])
        assert same(first[index], copy[index])
    assert first.fingerprint == again.fingerprint == copy.fingerprint
    backwards = [first[i] for i in range(9, -1, -1)][::-1]
    assert digest(backwards) == digest([again[i] for i in range(10)])


def test_training_depends_on_the_seed_and_the_other_splits_do_not() -> None:
    for split in SPLITS:
        zero, one = source(split, seed=0), source(split, seed=1)
        differ = [not same(zero[i], one[i]) for i in range(20)]
        assert all(differ) if split == "train" else not any(differ)
        assert (zero.fingerprint != one.fingerprint) == (split == "train")
    train = source("train", seed=0)
    assert len({train[i].image_hxwxc.tobytes() for i in (*range(20), 3600, 3601)}) == 22


def test_sizes_ids_and_groups() -> None:
    validation, test, train = (source(split, seed=0) for split in ("validation", "test", "train"))
    assert (len(validation), len(test), len(train)) == (800, 2000, ENDLESS)
    assert train.info.endless
    assert not test.info.endless
    assert test.info.classes == tuple("0123456789")
    digits = load_digits("validation")
    assert [validation[i].group for i in range(800)] == [group for group in digits.groups for _ in range(2)]
    assert [validation[i].label for i in range(800)] == [int(label) for label in digits.labels_n for _ in range(2)]
    assert len({validation[i].id for i in range(800)}) == 800
    assert not validation.groups & test.groups
    assert not train.groups & test.groups
    assert len(source("test", seed=0, per_digit=3)) == 3000
    assert not same(test[0], test[1])
    assert test[0].group == test[1].group


def test_an_epoch_of_training_shows_each_digit_once() -> None:
    canvases = source("train", seed=0, noise=0.0, clutter=0)
    orders = [[canvases[epoch * 3600 + i].group for i in range(3600)] for epoch in range(2)]
    assert set(orders[0]) == set(orders[1]) == canvases.groups
    assert all(len(set(order)) == 3600 for order in orders)
    assert orders[0] != orders[1]
    far = canvases[ENDLESS - 1]
    assert far.group in canvases.groups
    assert far.image_hxwxc.shape == (64, 64, 1)


@pytest.mark.parametrize(("split", "options"), [("train", AUGMENTED), ("train", {}), ("validation", {}), ("test", {"scale": (0.5, 1.5)})])
def test_boxes_are_tight_around_the_ink(split: str, options: dict[str, Any]) -> None:
    canvases = source(split, seed=0, **CLEAN, **options)
    for index in range(300):
        example = canvases[index]
        rows, columns = np.nonzero(example.image_hxwxc[..., 0] >= INK)
        tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_array_equal(example.boxes_nx4[0] * 64, tight)


@settings(max_examples=30)
@given(
    split=st.sampled_from(SPLITS),
    index=st.integers(0, 799),
    canvas=st.sampled_from([64, 70, 100]),
    scale=st.tuples(st.floats(0.4, 1.5), st.floats(0.4, 1.5)).map(lambda s: (min(s), max(s))),
    clutter=st.integers(0, 8),
    augmentation=st.sampled_from([{}, AUGMENTED]),
)
def test_boxes_are_inside_the_canvas_for_all_options(split, index, canvas, scale, clutter, augmentation) -> None:
    example = source(split, seed=0, canvas=canvas, scale=scale, clutter=clutter, **augmentation)[index]
    box = example.boxes_nx4[0]
    assert example.boxes_nx4.shape == (1, 4)
    assert example.boxes_nx4.dtype == np.float32
    assert 0 <= box[0] < box[2] <= 1
    assert 0 <= box[1] < box[3] <= 1
    assert example.image_hxwxc.shape == (canvas, canvas, 1)
    assert example.image_hxwxc.dtype == np.uint8
    assert example.labels_n.tolist() == [example.label]


def test_scale_place_contrast_and_noise_follow_their_options() -> None:
    """Sizes span their range and places the canvas. Contrast and noise do not change the box."""
    boxes = np.stack([source("train", seed=0)[i].boxes_nx4[0] for i in range(400)]) * 64
    height = boxes[:, 3] - boxes[:, 1]
    assert 8 <= height.min() <= 15
    assert 25 <= height.max() <= 32
    for axis in (0, 1):
        center = (boxes[:, axis] + boxes[:, axis + 2]) / 2
        assert center.min() < 16
        assert center.max() > 48
        assert 28 < center.mean() < 36
    only_noise = source("train", seed=0, clutter=0, contrast=(1.0, 1.0))[5].image_hxwxc.astype(float)
    clean = source("train", seed=0, **CLEAN)[5].image_hxwxc.astype(float)
    grey = (clean > 100) & (clean < 150)  # far from where values are clipped
    assert np.abs((only_noise - clean)[grey].mean()) < 10
    assert 15 < (only_noise - clean)[grey].std() < 40  # 0.1 of 255
    dim = source("train", seed=0, clutter=0, noise=0.0, contrast=(0.5, 0.5))[5].image_hxwxc.astype(float)
    np.testing.assert_allclose(dim, clean / 2, atol=0.51)


def marked_source(clutter: int, clutter_size: int = 8) -> ScatteredDigits:
    """Three digits, each with its own gray level, which identifies the origin of a pixel."""
    images = np.zeros((3, 28, 28), np.uint8)
    for i, level in enumerate((40, 60, 90)):
        images[i] = level
    digits = Digits(images, np.array([0, 1, 2], np.int32), ("a", "b", "c"))
    canvases = source("validation", seed=0, scale=(0.5, 0.5), noise=0.0, contrast=(1.0, 1.0), clutter=clutter, clutter_size=clutter_size)
    return dataclasses.replace(canvases, digits=digits)


def test_clutter_comes_from_other_digits_of_the_split() -> None:
    seen = set()
    for digit in range(3):
        level = (40, 60, 90)[digit]
        others = {40, 60, 90} - {level}
        for copy in range(2):
            example = marked_source(clutter=1)[2 * digit + copy]
            image, (x0, y0, x1, y1) = example.image_hxwxc[..., 0].astype(int), np.rint(example.boxes_nx4[0] * 64).astype(int)
            image[max(0, y0 - 1) : y1 + 1, max(0, x0 - 1) : x1 + 1] = 0
            outside = set(np.unique(image).tolist()) - {0}
            assert len(outside) <= 1
            assert outside <= others
            seen |= outside
    assert seen, "no fragment lies outside the boxes: nothing was tested"
    none, many = marked_source(clutter=0)[0].image_hxwxc, marked_source(clutter=6)[0].image_hxwxc
    added = many.astype(int) - none.astype(int)
    assert added.min() >= 0
    assert 64 < (added > 0).sum() <= 6 * 64


def test_clutter_does_not_move_the_box() -> None:
    plain, cluttered = source("train", seed=0, clutter=0), source("train", seed=0, clutter=6)
    for index in range(20):
        np.testing.assert_array_equal(plain[index].boxes_nx4, cluttered[index].boxes_nx4)


def test_only_training_is_augmented() -> None:
    for split in SPLITS:
        plain, augmented = source(split, seed=0), source(split, seed=0, **AUGMENTED)
        differ = [not same(plain[i], augmented[i]) for i in range(10)]
        assert all(differ) if split == "train" else not any(differ)
        assert (plain.fingerprint != augmented.fingerprint) == (split == "train")
    for name, value in AUGMENTED.items():
        assert not same(source("train", seed=0)[0], source("train", seed=0, **{name: value})[0]), name


@pytest.mark.parametrize(
    "options",
    [
        {"canvas": 96},
        {"scale": (0.7, 1.4)},
        {"contrast": (0.6, 1.0)},
        {"noise": 0.2},
        {"clutter": 5},
        {"clutter_size": 6},
        {"per_digit": 3},
    ],
    ids=str,
)
def test_every_option_changes_the_fingerprint(options: dict[str, Any]) -> None:
    assert source("validation", seed=0, **options).fingerprint != source("validation", seed=0).fingerprint
    if "per_digit" not in options:
        assert not same(source("validation", seed=0, **options)[0], source("validation", seed=0)[0])


@pytest.mark.parametrize(
    "options",
    [
        {"scale": (0.0, 1.0)}, {"scale": (1.2, 0.8)}, {"scale": (1.0, 3.0)}, {"canvas": 20}, {"contrast": (0.0, 1.0)},
        {"contrast": (0.5, 1.5)}, {"clutter_size": 29}, {"clutter_size": 0}, {"per_digit": 0}, {"digits": "mnist"},
        {"digits": "idx", "folder": "/nowhere"}, {"noise": -0.1}, {"clutter": -1}, {"scale": (0.5,)}, {"scale": (0.01, 0.02)},
        {"canvas": 6, "scale": (0.1, 0.1)}, {"objects": (2, 1)}, {"objects": (0, 101)}, {"objects": (-1, 1)}, {"objects": (0.5, 2)},
        {"max_overlap": 1.1},
    ],
    ids=str,
)  # fmt: skip
def test_invalid_options_raise_in_one_line(options: dict[str, Any]) -> None:
    assert_refused(lambda: [canvases[index] for canvases in (source("train", seed=0, **options),) for index in range(50)])


def test_an_unknown_split_raises() -> None:
    with pytest.raises(UserError, match="unknown split 'valid'; did you mean 'validation'"):
        source("valid", seed=0)


SEVERAL: dict[str, Any] = {"canvas": 128, "objects": (0, 5)}


@pytest.mark.parametrize("split", SPLITS)
def test_the_number_of_digits_is_uniform_and_their_boxes_are_those_of_their_ink(split: str) -> None:
    counts = np.zeros(6, int)
    canvases = source(split, seed=0, max_overlap=0.0, **SEVERAL, **CLEAN)
    digits = load_digits(split)
    for index in range(600):
        example = canvases[index]
        counts[len(example.labels_n)] += 1
        ink = example.image_hxwxc[..., 0] >= INK
        for x0, y0, x1, y1 in np.rint(example.boxes_nx4 * 128).astype(int):
            inside = ink[y0:y1, x0:x1]
            assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()  # noqa: PT018
            ink[y0:y1, x0:x1] = False
        assert not ink.any(), "ink outside all boxes"
        areas = np.prod(example.boxes_nx4[:, 2:] - example.boxes_nx4[:, :2], axis=1)
        assert example.label == (example.labels_n[areas.argmax()] if len(areas) else -1)
        assert example.group in digits.groups
    assert counts.min() > 60
    assert not canvases.info.all_labelled
    assert source(split, seed=0, objects=(1, 5)).info.all_labelled


@settings(max_examples=25)
@given(limit=st.sampled_from([0.0, 0.1, 0.5]), index=st.integers(0, 10**6), rotate=st.sampled_from([0.0, 40.0]))
def test_no_two_boxes_share_more_than_the_limit(limit: float, index: int, rotate: float) -> None:
    crowded = source("train", seed=0, canvas=64, objects=(8, 8), max_overlap=limit, train_rotate=rotate)[index]
    pixels = crowded.boxes_nx4.astype(np.float64) * 64
    assert 1 <= len(pixels) <= 8
    for i, a in enumerate(pixels):
        for b in pixels[:i]:
            sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
            shared = np.prod(np.maximum(sides, 0)) / min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2]))
            assert shared <= limit + 1e-6


def test_the_limit_is_what_leaves_digits_out() -> None:
    def total(limit: float) -> int:
        canvases = source("train", seed=0, objects=(8, 8), max_overlap=limit)
        return sum(len(canvases[i].labels_n) for i in range(40))

    assert total(1.0) == 320
    assert total(0.0) < total(0.25) < 320


def test_many_digits_have_the_same_bits_twice_and_come_from_their_split_alone() -> None:
    bright = load_digits("train")
    canvases = source("train", seed=0, **SEVERAL)
    assert digest_many(canvases) == digest_many(pickle.loads(pickle.dumps(canvases))) == digest_many(source("train", seed=0, **SEVERAL))
    assert digest_many(canvases) != digest_many(source("train", seed=1, **SEVERAL))
    assert canvases.fingerprint not in {source("train", seed=0, canvas=128, objects=pair).fingerprint for pair in ((1, 1), (1, 5))}
    # Of a split whose digits are all gray squares, nothing else is drawn.
    gray = Digits(np.full((3, 28, 28), 90, np.uint8), np.array([0, 1, 2], np.int32), ("a", "b", "c"))
    squares = dataclasses.replace(source("train", seed=0, max_overlap=0.0, scale=(1.0, 1.0), **SEVERAL, **CLEAN), digits=gray)
    assert {int(level) for i in range(30) for level in np.unique(squares[i].image_hxwxc)} <= set(range(91))
    assert bright.images_nx28x28.max() > 90
    single = source("test", seed=0, canvas=128)
    several = source("test", seed=0, canvas=128, objects=(1, 3))
    assert len(several) == len(single)
    assert [several[i].group for i in range(9)] == [single[i].group for i in range(9)]


def digest_many(canvases: ScatteredDigits) -> str:
    content = hashlib.sha256()
    for example in (canvases[i] for i in range(12)):
        content.update(example.image_hxwxc.tobytes() + example.boxes_nx4.tobytes() + example.labels_n.tobytes() + example.group.encode())
    return content.hexdigest()
