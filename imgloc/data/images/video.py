"""Frames of video files, read and written by OpenCV."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from imgloc.errors import UserError
from imgloc.types import Uint8Array

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


def is_video(path: str | Path) -> bool:
    """Whether the name of a file is that of a video."""
    return Path(path).suffix.lower() in SUFFIXES


def read_frames(path: Path, count: int) -> list[tuple[int, Uint8Array]]:
    """At most `count` frames (h, w, 3), RGB, spread evenly over a video, each with its number.

    Raises UserError for a file that OpenCV cannot read.
    """
    if not path.is_file():
        raise UserError(f"no such video file: {path}")
    capture = cv2.VideoCapture(str(path))
    try:
        total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        chosen = set(np.linspace(0, max(total - 1, 0), min(count, max(total, 1))).round().astype(int).tolist())
        frames: list[tuple[int, Uint8Array]] = []
        for number in range(max(chosen) + 1):  # one after the other: seeking is not exact in all formats
            if not capture.grab():
                break
            if number in chosen:
                _, frame = capture.retrieve()
                frames.append((number, np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)))
    finally:
        capture.release()
    if not frames:
        raise UserError(f"cannot read {path}: OpenCV finds no frame in it")
    return frames


def frame_rate(path: Path) -> float:
    """The frames per second of a video; 25 where the file does not state it."""
    capture = cv2.VideoCapture(str(path))
    try:
        rate = float(capture.get(cv2.CAP_PROP_FPS))
    finally:
        capture.release()
    return rate if 0 < rate < 1_000 else 25.0


def every_frame(path: Path) -> Generator[Uint8Array, None, None]:
    """All frames (h, w, 3), RGB, of a video, one after the other. Raises UserError for a file that OpenCV cannot read."""
    if not path.is_file():
        raise UserError(f"no such video file: {path}")
    capture, count = cv2.VideoCapture(str(path)), 0
    try:
        while True:
            found, frame = capture.read()
            if not found:
                break
            count += 1
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
    finally:
        capture.release()
    if not count:
        raise UserError(f"cannot read {path}: OpenCV finds no frame in it")


def write_video(path: Path, frames: Iterable[Uint8Array], rate: float) -> Iterator[None]:
    """Write frames (h, w, 3), RGB, as MPEG-4, one at each step of the iterator; the file appears at its end.

    Raises UserError where OpenCV cannot write the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".video.", dir=path.parent) as folder:
        temporary = Path(folder) / f"video{path.suffix}"
        writer: cv2.VideoWriter | None = None
        try:
            for frame in frames:
                if writer is None:
                    size = frame.shape[1], frame.shape[0]
                    writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
                if not writer.isOpened():
                    raise UserError(f"--out '{path}': OpenCV cannot write such a video; expected a name that ends in .mp4")
                writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
                yield
        finally:
            if writer is not None:
                writer.release()
        os.replace(temporary, path)
