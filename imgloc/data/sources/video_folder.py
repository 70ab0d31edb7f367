"""Videos of your own: folders of frames with the text files of MOTChallenge, OTB, VOT or GOT-10k; see `imgloc.data.sequences`.

A video is cut into clips. A clip follows the objects that have a box in its first frame; later objects are only part of the truth of
MOTA, IDF1 and HOTA.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from imgloc import boxes, files
from imgloc.data.images import decode
from imgloc.data.sequences import FrameSequence, find_sequences
from imgloc.data.transforms.pixels import resize_image
from imgloc.errors import UnreadableImage, UserError, unknown
from imgloc.types import Example, Info, Tracks

SPLITS = ("train", "validation", "test")
NAMES = {"validation": ("validation", "val"), "train": ("train",), "test": ("test",)}  # of folders that hold a split


def source(
    split: str, *, seed: int, folder: str = "", frames: int = 40, side: int = 256, channels: int = 3, validation: float = 0.2,
    test: float = 0.2,
) -> VideoFolder:  # fmt: skip
    """A split (train, validation, test) of the videos in a folder, the same for every seed, in clips of at most `frames` frames.

    Videos below a folder train, validation (val) or test belong to that split; of all others, about the shares `validation` and `test`
    by a hash of their names. Frames are reduced to `side` pixels of the longer side. Raises UserError where a split has no video.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if not folder:
        raise UserError("data.options.folder is empty; set it to a folder of videos as frames with boxes; see docs/tracking.md")
    for name, value, low, high in (("frames", frames, 2, 10_000), ("side", side, 16, 4_096)):
        if not low <= value <= high:
            raise UserError(f"data.options.{name} must be from {low} to {high}, got {value}")
    if min(validation, test) < 0 or validation + test >= 1:
        raise UserError(f"data.options.validation and data.options.test must be at least 0 with a sum below 1, got {validation} and {test}")
    chosen = [each for each in find_sequences(Path(folder)) if _split_of(each.name, validation, test) == split]
    clips = tuple(clip for each in chosen for clip in _clips(each, frames))
    if not clips:
        raise UserError(f"split '{split}' of '{folder}' has no video with a box; add videos, or raise data.options.{split}")
    return VideoFolder(split, clips, side, channels)


def _split_of(name: str, validation: float, test: float) -> str:
    parts = {part.lower() for part in Path(name).parts}
    for split, folders in NAMES.items():
        if parts.intersection(folders):
            return split
    share = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32
    return "test" if share < test else "validation" if share < test + validation else "train"


def _clips(sequence: FrameSequence, frames: int) -> list[FrameSequence]:
    """The parts of a video, each of which begins with a frame in which an object has a box."""
    clips, first, count = [], 0, len(sequence.frames)
    while first < count - 1:
        part = slice(first, first + frames)
        boxes_txnx4, visible_txn = sequence.boxes_txnx4[part], sequence.visible_txn[part]
        if np.isnan(boxes_txnx4[0, :, 0]).all():
            first += 1
            continue
        used = ~np.isnan(boxes_txnx4[..., 0]).all(axis=0)
        clips.append(FrameSequence(f"{sequence.name}:{first}", sequence.frames[part], boxes_txnx4[:, used], visible_txn[:, used]))
        first += frames
    return clips


@dataclass(frozen=True)
class VideoFolder:
    """See `source`."""

    split: str
    clips: tuple[FrameSequence, ...]
    side: int
    channels: int

    @property
    def info(self) -> Info:
        return Info(classes=("object", "other"), channels=self.channels)

    @cached_property
    def fingerprint(self) -> str:
        content = [
            [clip.name, [path.stat().st_size for path in clip.frames], np.nan_to_num(clip.boxes_txnx4, nan=-1.0).tolist()]
            for clip in self.clips
        ]
        return files.fingerprint(["video_folder", self.split, self.side, self.channels, content])

    @property
    def groups(self) -> frozenset[str]:
        return frozenset(clip.name.rpartition(":")[0] for clip in self.clips)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Example:
        clip = self.clips[index]
        try:
            pictures = [decode.read_image(path, channels=self.channels) for path in clip.frames]
        except UserError as error:
            raise UnreadableImage(str(error)) from error
        height, width = pictures[0].shape[:2]
        scale = min(1.0, self.side / max(height, width))
        frames = np.stack([resize_image(each, max(1, round(height * scale)), max(1, round(width * scale))) for each in pictures])
        inside = boxes.clip_to_image(boxes.from_pixels(np.nan_to_num(clip.boxes_txnx4), width, height))
        present = np.asarray((inside[..., 2:] > inside[..., :2]).all(axis=-1))
        order = np.argsort(~present[0], kind="stable")  # objects of the first frame come first
        inside, present, visible = inside[:, order], present[:, order], clip.visible_txn[:, order]
        tracks = Tracks(np.where(present[..., None], inside, 0).astype(np.float32), present, (visible * present).astype(np.float32))
        count = int(present[0].sum())
        if not count:
            raise UnreadableImage(f"{clip.frames[0]}: every box lies outside of the frame")
        return Example(
            image_hxwxc=frames[0], boxes_nx4=np.asarray(tracks.boxes[0, :count]), labels_n=np.zeros(count, np.int32), label=0, id=clip.name,
            group=clip.name.rpartition(":")[0], upright_size=(width, height), frames_txhxwxc=frames, tracks=tracks,
        )  # fmt: skip
