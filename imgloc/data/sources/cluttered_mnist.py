"""Translated and cluttered translated MNIST (Mnih et al., 2014, arXiv:1406.6247): a digit anywhere on a canvas among pieces of others.

The procedure and its constants are those of the data set that the paper's authors published (github.com/deepmind/mnist-cluttered): on
a black canvas first the clutter, each piece a crop at a uniform offset of a digit drawn with replacement, at a uniform place, added and
clipped; then the digit, all of its 28x28 pixels, at a uniform place. Here training canvases are endless, each a function of (seed, index),
and goes once through all digits before any comes again; validation and test are fixed, `per_digit` canvases a digit. A canvas may hold
more digits (Ba et al., 2015, arXiv:1412.7755: pairs), which keep clear of each other. A box is the tight one of a digit's ink.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

from imgloc import boxes, files
from imgloc.data import canvases
from imgloc.data.digits import ENDLESS, SIDE, Digits, ink_box, load_digits
from imgloc.errors import UserError
from imgloc.randomness import permutation
from imgloc.types import Batch, Example, FloatArray, Info, IntArray

VERSION = 1  # of how a canvas is made; raise it whenever the same index gives other pixels


def source(
    split: str, *, seed: int, digits: str = "wheel", folder: str = "", canvas: int = 60, clutter: int = 4, clutter_size: int = 8,
    per_canvas: int = 1, per_digit: int = 1, train_boxed: float = 1.0,
) -> ClutteredMnist:  # fmt: skip
    """A split (train, validation, test). The papers: canvas 60 with 4 pieces, 100 with 8; translated MNIST has none; pairs: per_canvas 2.

    `train_boxed` is the share of the training digits whose canvases tell their boxes; the others' have a class and no object. Of
    several digits on a canvas all but one are drawn; the canvas's class is that of the leftmost.

    `digits` and `folder` say where the digits come from, see `imgloc.data.digits.load_digits`.
    """
    for name, value, low, high in (
        ("canvas", canvas, SIDE, 1_000), ("clutter", clutter, 0, 10_000), ("clutter_size", clutter_size, 1, SIDE),
        ("per_canvas", per_canvas, 1, 100), ("per_digit", per_digit, 1, 1_000), ("train_boxed", train_boxed, 0.0, 1.0),
    ):  # fmt: skip
        if not low <= value <= high:
            raise UserError(f"config key 'data.options.{name}' is {value}; possible: {low} to {high}")
    train = split == "train"
    found = load_digits(split, digits, folder)
    boxed = round(train_boxed * len(found.groups)) if train else len(found.groups)
    layout = canvases.Layout(canvas, clutter, clutter_size, per_canvas)
    return ClutteredMnist(split, seed if train else 0, found, layout, 0 if train else per_digit, boxed)


@dataclass(frozen=True)
class ClutteredMnist:
    """See `source`; `per_digit` 0 means endless."""

    split: str
    seed: int
    digits: Digits
    layout: canvases.Layout
    per_digit: int
    boxed: int  # digits whose canvases tell their box: the first in the order of hashes, which is no order

    @property
    def info(self) -> Info:
        return Info(classes=tuple("0123456789"), channels=1, endless=self.per_digit == 0)

    @cached_property
    def fingerprint(self) -> str:
        what = [self.split, self.seed, *self.layout, self.per_digit, self.boxed]
        return files.fingerprint(["cluttered_mnist", VERSION, *what, self.digits.fingerprint])

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(self.digits.groups)

    @cached_property
    def _ink_boxes_nx4(self) -> FloatArray:
        """Tight boxes of the digits in pixels of their own 28x28."""
        return np.stack([ink_box(image) for image in self.digits.images_nx28x28])

    @cached_property
    def _ink(self) -> jax.Array:
        return canvases.on_host(self.digits.images_nx28x28)

    def __getstate__(self) -> dict[str, Any]:
        """Fields alone: what is derived from them is made anew in a data worker."""
        return {name: value for name, value in vars(self).items() if name in self.__dataclass_fields__}

    def __len__(self) -> int:
        return len(self.digits.groups) * self.per_digit or ENDLESS

    def __getitem__(self, index: int) -> Example:
        batch, (first,) = self.take(np.array([index])), self._first_digits(np.array([index]))
        told = batch.object_mask_bxn[0]
        return Example(
            image_hxwxc=batch.images_bxhxwxc[0], boxes_nx4=batch.boxes_bxnx4[0][told], labels_n=batch.labels_bxn[0][told],
            label=int(batch.label_b[0]), id=f"{self.split}-{index:08d}", group=self.digits.groups[first],
        )  # fmt: skip

    def take(self, indices_b: IntArray) -> Batch:
        """Canvases (b, canvas, canvas, 1) of these indices with their objects; see `imgloc.types.InMemory`."""
        first_b = self._first_digits(indices_b)
        made = canvases.make(self.seed, f"canvas {self.split}", indices_b, first_b, self._ink, self.layout)
        in_pixels = self._ink_boxes_nx4[made.digits_bxd] + np.tile(made.corners_bxdx2, 2).astype(np.float32)
        boxes_bxdx4 = boxes.from_pixels(in_pixels, self.layout.canvas, self.layout.canvas)
        labels_bxd = self.digits.labels_n[made.digits_bxd].astype(np.int32)
        label_b = np.take_along_axis(labels_bxd, boxes.reading_order(boxes_bxdx4)[:, :1], axis=1)[:, 0]
        order_bxd = np.lexsort((-boxes.area(boxes_bxdx4), labels_bxd != label_b[:, None]), axis=-1)
        told_b = first_b < self.boxed
        most = slice(None) if told_b.any() else slice(0)  # no place for objects where none is told
        return Batch(
            images_bxhxwxc=made.images_bxhxw[..., None],
            boxes_bxnx4=(np.take_along_axis(boxes_bxdx4, order_bxd[..., None], axis=1) * told_b[:, None, None])[:, most],
            labels_bxn=(np.take_along_axis(labels_bxd, order_bxd, axis=1) * told_b[:, None])[:, most],
            object_mask_bxn=np.repeat(told_b[:, None], labels_bxd.shape[1], axis=1)[:, most], label_b=label_b,
            example_mask_b=np.ones(len(label_b), np.bool_), content_bx4=np.tile(np.array([0, 0, 1, 1], np.float32), (len(label_b), 1)),
        )  # fmt: skip

    def _first_digits(self, indices_b: IntArray) -> IntArray:
        """The digit that the canvas of each index is made for."""
        if self.per_digit:
            return np.asarray(indices_b) // self.per_digit
        size = len(self.digits.groups)
        return np.array([permutation(self.seed, "digit order", index // size, size)[index % size] for index in indices_b.tolist()])
