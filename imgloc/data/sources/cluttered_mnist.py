"""Translated and cluttered translated MNIST (Mnih et al., 2014, arXiv:1406.6247): a digit anywhere on a canvas among pieces of others.

The procedure and its constants are those of the data set that the paper's authors published (github.com/deepmind/mnist-cluttered): on
a black canvas first the clutter, each piece a crop at a uniform offset of a digit drawn with replacement, at a uniform place, added and
clipped; then the digit, all of its 28x28 pixels, at a uniform place. Here training canvases are endless, each a function of (seed, index),
and goes once through all digits before any comes again; validation and test are fixed, `per_digit` canvases a digit. The box is the
tight one of the digit's ink.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imgloc import boxes, files
from imgloc.data.digits import ENDLESS, SIDE, Digits, ink_box, load_digits
from imgloc.errors import UserError
from imgloc.randomness import generator, permutation
from imgloc.types import Batch, Example, FloatArray, Info, IntArray, Uint8Array

VERSION = 1  # of the recipe for a canvas; raise it whenever the same index gives other pixels


def source(
    split: str, *, seed: int, digits: str = "wheel", folder: str = "", canvas: int = 60, clutter: int = 4, clutter_size: int = 8,
    per_digit: int = 1, train_boxed: float = 1.0,
) -> ClutteredMnist:  # fmt: skip
    """A split (train, validation, test). The papers: canvas 60 with 4 pieces, 100 with 8; translated MNIST has none.

    `train_boxed` is the share of the training digits whose canvases tell their box; the others' have a class and no object.

    `digits` and `folder` say where the digits come from, see `imgloc.data.digits.load_digits`.
    """
    for name, value, low, high in (
        ("canvas", canvas, SIDE, 1_000), ("clutter", clutter, 0, 10_000), ("clutter_size", clutter_size, 1, SIDE),
        ("per_digit", per_digit, 1, 1_000), ("train_boxed", train_boxed, 0.0, 1.0),
    ):  # fmt: skip
        if not low <= value <= high:
            raise UserError(f"config key 'data.options.{name}' is {value}; possible: {low} to {high}")
    train = split == "train"
    found = load_digits(split, digits, folder)
    boxed = round(train_boxed * len(found.groups)) if train else len(found.groups)
    return ClutteredMnist(split, seed if train else 0, found, canvas, clutter, clutter_size, 0 if train else per_digit, boxed)


@dataclass(frozen=True)
class ClutteredMnist:
    """See `source`; `per_digit` 0 means endless."""

    split: str
    seed: int
    digits: Digits
    canvas: int
    clutter: int
    clutter_size: int
    per_digit: int
    boxed: int  # digits whose canvases tell their box: the first in the order of hashes, which is no order

    @property
    def info(self) -> Info:
        return Info(classes=tuple("0123456789"), channels=1, endless=self.per_digit == 0)

    @cached_property
    def fingerprint(self) -> str:
        recipe = [value for name, value in vars(self).items() if name in self.__dataclass_fields__ and name != "digits"]
        return files.fingerprint(["cluttered_mnist", VERSION, *recipe, self.digits.fingerprint])

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(self.digits.groups)

    @cached_property
    def ink_boxes_nx4(self) -> FloatArray:
        """Tight boxes of the digits in pixels of their own 28x28."""
        return np.stack([ink_box(image) for image in self.digits.images_nx28x28])

    def __len__(self) -> int:
        return len(self.digits.groups) * self.per_digit or ENDLESS

    def __getitem__(self, index: int) -> Example:
        digit = self._digit(index)
        image, box = self._made(index, digit)
        label = int(self.digits.labels_n[digit])
        return Example(
            image_hxwxc=image[..., None], boxes_nx4=box[None][: digit < self.boxed],
            labels_n=np.array([label], np.int32)[: digit < self.boxed], label=label,
            id=f"{self.split}-{index:08d}", group=self.digits.groups[digit],
        )  # fmt: skip

    def take(self, indices_b: IntArray) -> Batch:
        """Canvases (b, canvas, canvas, 1) of these indices with their one object; see `imgloc.types.InMemory`."""
        digits = [self._digit(int(index)) for index in indices_b]
        images, found = zip(*(self._made(int(index), digit) for index, digit in zip(indices_b, digits, strict=True)), strict=True)
        label_b, told_bx1 = self.digits.labels_n[digits].astype(np.int32), (np.array(digits) < self.boxed)[:, None]
        most = slice(int(told_bx1.any()))  # no place for objects where none is told
        return Batch(
            images_bxhxwxc=np.stack(images)[..., None], boxes_bxnx4=(np.stack(found)[:, None] * told_bx1[..., None])[:, most],
            labels_bxn=(label_b[:, None] * told_bx1)[:, most], object_mask_bxn=told_bx1[:, most], label_b=label_b,
            example_mask_b=np.ones(len(digits), np.bool_),
            content_bx4=np.tile(np.array([0, 0, 1, 1], np.float32), (len(digits), 1)),
        )  # fmt: skip

    def _digit(self, index: int) -> int:
        size = len(self.digits.groups)
        if self.per_digit:
            return index // self.per_digit
        return int(permutation(self.seed, "digit order", index // size, size)[index % size])

    def _made(self, index: int, digit: int) -> tuple[Uint8Array, FloatArray]:
        """A canvas (h, w), and its digit's box."""
        rng, images = generator(self.seed, f"clutter {self.split}", index), self.digits.images_nx28x28
        cut, room = SIDE - self.clutter_size + 1, self.canvas - self.clutter_size + 1
        drawn = rng.integers((len(images), cut, cut, room, room), size=(self.clutter, 5))
        canvas = np.zeros((self.canvas, self.canvas), np.uint8)
        for other, from_y, from_x, to_y, to_x in drawn.tolist():
            piece = images[other, from_y : from_y + self.clutter_size, from_x : from_x + self.clutter_size]
            _add(canvas[to_y : to_y + self.clutter_size, to_x : to_x + self.clutter_size], piece)
        y, x = rng.integers(self.canvas - SIDE + 1, size=2).tolist()
        _add(canvas[y : y + SIDE, x : x + SIDE], images[digit])
        shift = np.array([x, y, x, y], np.float32)
        return canvas, boxes.from_pixels(self.ink_boxes_nx4[digit] + shift, self.canvas, self.canvas)


def _add(part: Uint8Array, ink: Uint8Array) -> None:
    """Add ink to a part of a canvas, in place; what is above white is white."""
    np.add(part, np.minimum(ink, 255 - part), out=part)
