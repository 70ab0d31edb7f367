"""Folders of videos as frames with text files of boxes: MOTChallenge, OTB, VOT and GOT-10k.

- MOTChallenge: gt/gt.txt with lines of frame, identity, left, top, width, height, flag, class, visibility; pixels count from 1.
- OTB: groundtruth_rect.txt, or groundtruth_rect.N.txt for each object, with left, top, width, height; pixels count from 1.
- VOT: groundtruth.txt with the corners of a polygon, or left, top, width, height; edges of pixels.
- GOT-10k: groundtruth.txt with left, top, width, height, and absence.label and cover.label where they exist; edges of pixels.

Frames are the images in img1/, img/ or color/, or beside the text file, ordered by the number in their names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imgloc import boxes
from imgloc.errors import UserError
from imgloc.types import FloatArray

FOLDERS = ("img1", "img", "color", "")  # of the frames
IMAGES = (".jpg", ".jpeg", ".png", ".bmp")
MOT, GROUND_TRUTH = "gt/gt.txt", "groundtruth.txt"
COVER_LEVELS = 8  # of cover.label: how much of the object can be seen


class FrameSequence(NamedTuple):
    """The frames of a video, and the boxes of n objects in pixels, NaN where an object is absent."""

    name: str
    frames: tuple[Path, ...]
    boxes_txnx4: FloatArray
    visible_txn: FloatArray


def find_sequences(folder: Path) -> list[FrameSequence]:
    """All sequences in a folder and below it, by name. Raises UserError where there are none, and for a file that cannot be read."""
    if not folder.is_dir():
        raise UserError(f"no such folder: '{folder}'; data.options.folder must name a folder of videos")
    truths = sorted([*folder.rglob(MOT), *folder.rglob("groundtruth*.txt")])
    roots = sorted({path.parent.parent if path.name == "gt.txt" else path.parent for path in truths})
    if not roots:
        hint = f"expected folders with {MOT} (MOTChallenge), groundtruth_rect.txt (OTB) or {GROUND_TRUTH} (VOT, GOT-10k)"
        raise UserError(f"'{folder}' has no videos with boxes; {hint}")
    return [_read(root, str(root.relative_to(folder)) if root != folder else root.name) for root in roots]


def _read(root: Path, name: str) -> FrameSequence:
    frames = _frames(root)
    if (root / MOT).is_file():
        return FrameSequence(name, frames, *_mot(root / MOT, len(frames)))
    files = sorted(root.glob("groundtruth_rect*.txt")) or [root / GROUND_TRUTH]
    first_pixel = 1.0 if files[0].name.startswith("groundtruth_rect") else 0.0
    every = np.full((len(frames), len(files), 4), np.nan)
    for number, file in enumerate(files):
        for place, line in enumerate(file.read_text().splitlines()[: len(frames)]):
            every[place, number] = _box(_numbers(line, f"{file}:{place + 1}"), first_pixel, f"{file}:{place + 1}")
    absent, cover = (_labels(root / name, len(frames)) for name in ("absence.label", "cover.label"))
    every[absent > 0] = np.nan
    visible = np.where(np.isnan(every[..., 0]), 0.0, 1.0 if not (root / "cover.label").is_file() else cover[:, None] / COVER_LEVELS)
    return FrameSequence(name, frames, every, visible)


def _labels(path: Path, count: int) -> FloatArray:
    """Returns the numbers in a file of GOT-10k, one for each frame; zeros if the file does not exist."""
    if not path.is_file():
        return np.zeros(count)
    values = np.array(_numbers(" ".join(path.read_text().split()), str(path)))
    if len(values) != count:
        raise UserError(f"{path} has {len(values)} numbers for {count} frames")
    return values


def _mot(path: Path, count: int) -> tuple[FloatArray, FloatArray]:
    """The boxes (t, n, 4) and the visibility (t, n) of MOTChallenge; boxes with the flag 0 are left out."""
    rows = [(_numbers(line, f"{path}:{k}"), k) for k, line in enumerate(path.read_text().splitlines(), start=1) if line.strip()]
    for numbers, k in rows:
        if len(numbers) < 7:
            raise UserError(f"{path}:{k}: the line has {len(numbers)} numbers; a box has 9")
    used = [numbers for numbers, _ in rows if numbers[6] != 0 and 1 <= numbers[0] <= count]
    identities = {identity: n for n, identity in enumerate(sorted({numbers[1] for numbers in used}))}
    every, visible = np.full((count, len(identities), 4), np.nan), np.zeros((count, len(identities)))
    for numbers in used:
        place = int(numbers[0]) - 1, identities[numbers[1]]
        every[place] = boxes.from_coco_xywh(np.array(numbers[2:6]) - np.array([1.0, 1.0, 0.0, 0.0]))
        visible[place] = numbers[8] if len(numbers) > 8 and 0 <= numbers[8] <= 1 else 1.0
    return every, visible


def _frames(root: Path) -> tuple[Path, ...]:
    for folder in FOLDERS:
        found = [path for path in (root / folder).glob("*") if path.suffix.lower() in IMAGES and re.search(r"\d", path.stem)]
        if found:
            return tuple(sorted(found, key=lambda path: (int(re.findall(r"\d+", path.stem)[-1]), path.name)))
    raise UserError(f"'{root}' has boxes, but no images of frames; expected them in img1/, img/ or color/, or beside the text file")


def _numbers(line: str, where: str) -> list[float]:
    """The numbers of a line, separated by commas, tabs or spaces."""
    try:
        return [float(part) for part in re.split(r"[,\s]+", line.strip()) if part]
    except ValueError as error:
        raise UserError(f"{where}: '{line[:40]}' is not a line of numbers") from error


def _box(numbers: list[float], first_pixel: float, where: str) -> FloatArray:
    """The box (4,) of a line; NaN for an object that is absent: a single number, as in VOT, NaN, or sides of 0."""
    values = np.array(numbers)
    if len(values) == 1 or not np.isfinite(values).all():
        return np.full(4, np.nan)
    if len(values) == 8:
        corners = values.reshape(4, 2)
        return np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    if len(values) != 4:
        raise UserError(f"{where}: the line has {len(values)} numbers; a box has 4, and a polygon 8")
    if min(values[2:]) <= 0:
        return np.full(4, np.nan)
    return boxes.from_coco_xywh(values - np.array([first_pixel, first_pixel, 0, 0]))
